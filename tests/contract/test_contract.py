from checks import run


def test_every_method_keeps_its_familys_contract(check, family, name, folder):
    run(check, family, name, folder)

import pytest
from checks import cases, run


@pytest.mark.parametrize(("check", "family", "name"), list(cases()))
def test_every_method_keeps_its_familys_contract(check, family, name):
    run(check, family, name)

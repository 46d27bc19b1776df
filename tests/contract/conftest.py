import pytest
from checks import cases


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/contract --methods my_methods` checks a user's folder too."""
    parser.addoption("--methods", action="append", default=[], help="a folder with methods of your own")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "check" in metafunc.fixturenames and "folder" in metafunc.fixturenames:
        folders = [None, *metafunc.config.getoption("--methods", default=[])]
        metafunc.parametrize(("check", "family", "name", "folder"), [case for f in folders for case in cases(f)])

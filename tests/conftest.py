"""What tests of more than one folder start with."""

from collections.abc import Iterator

import pytest


@pytest.fixture
def drawing() -> Iterator[None]:
    """Figures as scripts draw them; what they leave is put away."""
    from matplotlib import pyplot as plt
    from matplotlib import rcdefaults

    from truemap.figures import style

    style.start()
    yield
    plt.close("all")
    rcdefaults()

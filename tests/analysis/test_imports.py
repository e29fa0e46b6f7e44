"""What numpy and matplotlib do without, and that all is as it was afterwards."""

import os
import subprocess
import sys

import pytest
from matplotlib import artist

from analysis.imports import single_threaded_products, undocumented_artists

_PRODUCT = """
import os
from analysis.imports import single_threaded_products
with single_threaded_products():
    import numpy
numpy.ones((500, 500)) @ numpy.ones((500, 500))
print(len(os.listdir("/proc/self/task")), "OPENBLAS_NUM_THREADS" in os.environ)
"""


_ARTISTS = """
from analysis.imports import undocumented_artists
with undocumented_artists():
    from matplotlib.figure import Figure
from matplotlib import artist
print("antialiased" in Figure().add_subplot().plot.__doc__, "antialiased" in artist.kwdoc(artist.Artist), end=" ")
from matplotlib.lines import Line2D
print("antialiased" in artist.kwdoc(Line2D))
"""


def printed_by(program: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_products_take_one_thread() -> None:
    assert printed_by(_PRODUCT) == "1 False"


def test_artists_list_no_properties_where_they_are_imported_in_the_context() -> None:
    assert printed_by(_ARTISTS) == "False False True"


def test_the_user_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    with single_threaded_products():
        assert os.environ["OPENBLAS_NUM_THREADS"] == "2"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_all_is_as_it_was_after_a_failure() -> None:
    before = (dict(os.environ), artist.kwdoc)
    with pytest.raises(ValueError, match="broken"), single_threaded_products(), undocumented_artists():
        raise ValueError("broken")
    assert (dict(os.environ), artist.kwdoc) == before

"""numpy's products take one thread where it is imported in the context, and as many as the user says."""

import os
import subprocess
import sys

import pytest

from analysis.threads import single_threaded_products

_PRODUCT = """
import os
from analysis.threads import single_threaded_products
with single_threaded_products():
    import numpy
numpy.ones((500, 500)) @ numpy.ones((500, 500))
print(len(os.listdir("/proc/self/task")), "OPENBLAS_NUM_THREADS" in os.environ)
"""


def test_products_take_one_thread() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
    found = subprocess.run(
        [sys.executable, "-c", _PRODUCT], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "1 False"


def test_the_user_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    with single_threaded_products():
        assert os.environ["OPENBLAS_NUM_THREADS"] == "2"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_the_environment_is_as_it_was_after_a_failure() -> None:
    before = dict(os.environ)
    with pytest.raises(ValueError, match="broken"), single_threaded_products():
        raise ValueError("broken")
    assert dict(os.environ) == before

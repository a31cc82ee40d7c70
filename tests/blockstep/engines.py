"""The engines for which tests are repeated."""

from importlib.util import find_spec

import pytest
from systems import needs_compiler

needs_compiled_engine = pytest.mark.skipif(
    find_spec("blockstep.compiled") is None, reason="the compiled engine has been deleted"
)
if_compiled = [needs_compiler, needs_compiled_engine]
"""The marks of a test of the compiled engine."""

each_engine = pytest.mark.parametrize("engine", ["eager", pytest.param("compiled", marks=if_compiled)])


def marked(runs):
    """The names of runs, by which their arguments are found, as parameters of a test."""
    return [pytest.param(name, marks=if_compiled if "compiled" in name else []) for name in runs]

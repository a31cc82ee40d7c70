import pytest
import torch
from systems import needs_compiler
from torch import nn

from blockstep.compiled.forward import ROWS, CompiledForward

pytestmark = needs_compiler


class Rule(nn.Module):
    """A function of the two columns of a batch, as a module."""

    def __init__(self, rule):
        super().__init__()
        self.rule, self.factor = rule, nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.rule(self.factor * x[:, :1], self.factor * x[:, 1:])


NAN_RULES = {
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "clamp by tensors": lambda a, b: a.clamp(-b, b),
    "clamp from below by a tensor": lambda a, b: a.clamp(min=b),
    "clamp from above by a tensor": lambda a, b: a.clamp(max=b),
    "clamp by numbers": lambda a, b: a.clamp(-1, 1) + b.clamp(-1, 1),
    "relu": lambda a, b: a.relu() + b.relu(),
    "the largest of a row": lambda a, b: torch.amax(a + 0 * b, 1, keepdim=True) + 0 * a,
    "the largest of a column": lambda a, b: torch.amax(a + 0 * b, 0, keepdim=True) + 0 * a,
    "the largest of all": lambda a, b: torch.amax(b * 1) + 0 * a,
    "sign": lambda a, b: a.sign() + b,
    "abs": lambda a, b: a.abs() + b,
    "where": lambda a, b: torch.where(a > b, a, b),
}


@pytest.mark.parametrize("rule", NAN_RULES.values(), ids=NAN_RULES)
def test_nan_goes_where_torch_lets_it_go(rule):
    values = torch.tensor([0.5, torch.nan, -2.0, torch.inf, 3.0])
    pairs = torch.stack([values.repeat(5), values.repeat_interleave(5)], 1)
    x = torch.cat([pairs, torch.tensor([[1.0, 2.0]]).repeat(ROWS - len(pairs), 1)])
    module = Rule(rule)
    assert torch.equal(torch.isnan(CompiledForward(module, x)(x)), torch.isnan(module(x)))

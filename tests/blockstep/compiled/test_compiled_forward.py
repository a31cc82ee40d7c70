import copy

import pytest
import torch
from example.model import Classifier
from systems import needs_compiler
from torch import nn

from blockstep.blocks.training import BlockTraining
from blockstep.compiled.engine import CompiledEngine
from blockstep.compiled.forward import ROWS, CompiledForward
from blockstep.compiled.operations import UnsupportedError

pytestmark = [pytest.mark.slow, needs_compiler]


class Net(BlockTraining):
    """A module around another one, with the compiled engine."""

    def __init__(self, net):
        super().__init__()
        self.net, self.engine = net, CompiledEngine()

    def forward(self, x):
        return self.net(x)


def three_outputs():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 5), nn.Softmax(1))


def x_of(rows, width=3):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(rows))


@pytest.mark.parametrize("rows", [0, 1, ROWS - 1, ROWS, ROWS + 1, 1000])
def test_it_computes_what_the_module_does_for_any_number_of_rows(rows):
    net = three_outputs()
    forward = CompiledForward(net, x_of(1))
    with torch.no_grad():
        torch.testing.assert_close(forward(x_of(rows)), net(x_of(rows)), rtol=1e-5, atol=1e-6)


def test_it_reads_the_weights_anew_in_each_call():
    net = three_outputs()
    forward = CompiledForward(net, x_of(1))
    before = forward(x_of(5))
    with torch.no_grad():
        net[0].weight.mul_(2)
        torch.testing.assert_close(forward(x_of(5)), net(x_of(5)), rtol=1e-5, atol=1e-6)
    assert not torch.equal(before, forward(x_of(5)))


@pytest.mark.parametrize("x", [torch.zeros(4, 2), torch.zeros(4, 3, dtype=torch.float64)], ids=["narrow", "double"])
def test_rows_of_another_shape_or_type_are_refused(x):
    forward = CompiledForward(three_outputs(), x_of(1))
    with pytest.raises(UnsupportedError):
        forward(x)


def test_a_result_without_a_row_for_each_row_is_refused():
    with pytest.raises(UnsupportedError, match="a row for each row"):
        CompiledForward(nn.Sequential(three_outputs(), nn.Flatten(0)), x_of(1))


def test_what_cannot_be_compiled_is_evaluated_by_eager_pytorch_with_the_reason(capsys):
    module = Net(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))).eval()
    with torch.inference_mode():
        results = [module.forward_rows(x_of(7)) for _ in range(2)]
        assert torch.equal(results[0], module(x_of(7)))
    assert capsys.readouterr().out.count("engine: evaluation is eager, not compiled: the module has buffers") == 1


def test_dropout_is_compiled_in_evaluation_where_it_does_nothing():
    module = Net(nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))).eval()
    with torch.inference_mode():
        torch.testing.assert_close(module.forward_rows(x_of(7)), module(x_of(7)), rtol=1e-5, atol=1e-6)


def test_a_module_in_training_mode_is_not_compiled():
    module = Net(nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)))
    torch.manual_seed(0)
    first = module.forward_rows(x_of(7))
    torch.manual_seed(0)
    assert torch.equal(first, module(x_of(7)))


def test_nan_weights_give_nan():
    net = Classifier()
    with torch.no_grad():
        net.network[0].weight.fill_(torch.nan)
    assert CompiledForward(net, x_of(1, 2))(x_of(5, 2)).isnan().all()


def test_a_parameter_that_has_changed_its_shape_is_refused():
    net = three_outputs()
    forward = CompiledForward(net, x_of(1))
    net[0].weight.data = torch.zeros(1)
    with pytest.raises(UnsupportedError):
        forward(x_of(5))


def other_weights(module):
    module.load_state_dict({name: 2 * value for name, value in module.state_dict().items()}, assign=True)


def another_layer(module):
    module.net = three_outputs()


def another_activation(module):
    module.net[1] = nn.Tanh()


def a_hook(module):
    module.net[0].register_forward_hook(lambda layer, given, out: out + 1)


@pytest.mark.parametrize("change", [other_weights, another_layer, another_activation, a_hook])
def test_a_part_that_is_replaced_after_the_first_call_is_noticed(change):
    module = Net(three_outputs()).eval()
    with torch.inference_mode():
        module.forward_rows(x_of(7))
    change(module)
    with torch.inference_mode():
        torch.testing.assert_close(module.forward_rows(x_of(7)), module(x_of(7)), rtol=1e-5, atol=1e-6)


def test_with_gradients_the_module_itself_is_called():
    module = Net(three_outputs()).eval()
    assert module.forward_rows(x_of(7)).requires_grad


def test_a_call_of_another_type_is_eager_and_the_next_one_is_compiled_again():
    module = Net(three_outputs()).eval()
    with torch.inference_mode():
        module.double().forward_rows(x_of(7).double())
        module.float()
        module.forward_rows(x_of(7))
    assert any(module.engine._forwards.values())


def test_a_module_that_was_evaluated_can_be_copied():
    module = Net(three_outputs()).eval()
    with torch.inference_mode():
        before = module.forward_rows(x_of(7))
        assert torch.equal(copy.deepcopy(module).forward_rows(x_of(7)), before)

import pytest
import torch
from block_fits import fit, plain_loop, train_loss
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import (
    ModelCheckpoint,
)
from small_net import ROWS, Data, Net, same_weights, tensors
from torch.optim import SGD
from torch.optim.lr_scheduler import ExponentialLR

pytestmark = pytest.mark.filterwarnings("ignore")


def orders(tmp_path, seed, epochs=3):
    # Without learning the loss of a batch of one row says which row it was.
    net = Net(lambda p: SGD(p, lr=0))
    *_, probe = fit(tmp_path, net, Data(1, shuffle=True, seed=seed), max_epochs=epochs)
    return [probe.losses[epoch * ROWS : (epoch + 1) * ROWS] for epoch in range(epochs)]


def test_shuffling_gives_every_epoch_an_order_of_its_own(tmp_path):
    first, second, _ = orders(tmp_path, 0)
    assert first != second


def test_shuffling_visits_every_row_once_an_epoch(tmp_path):
    first, second, _ = orders(tmp_path, 0)
    assert sorted(first) == sorted(second)


def test_the_order_depends_on_seed_and_epoch_alone(tmp_path):
    seed_everything(1)
    one = orders(tmp_path, 5)
    seed_everything(2)
    assert orders(tmp_path, 5) == one


def test_another_seed_gives_another_order(tmp_path):
    assert orders(tmp_path, 0) != orders(tmp_path, 1)


RESUMABLE = {"lr": lambda p: ([o := SGD(p, lr=0.1, momentum=0.9)], [ExponentialLR(o, 0.5)])}


@pytest.mark.parametrize("block_size", [0, 1, 4])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("step", [3, 11, 15, 22, 25])
def test_a_run_resumed_at_any_step_equals_an_uninterrupted_one(tmp_path, block_size, shuffle, step):
    def run(path, **options):
        return fit(path, Net(RESUMABLE["lr"]), Data(shuffle=shuffle, block_size=block_size), **options)

    every = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=step, save_top_k=-1)
    _, whole, _ = run(tmp_path, callbacks=[every])
    _, resumed, _ = run(tmp_path, ckpt_path=tmp_path / f"step={step}.ckpt")
    assert same_weights(whole, resumed)


def test_a_run_resumed_in_an_epoch_takes_only_the_steps_that_are_left(tmp_path):
    fit(tmp_path, callbacks=[ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=15, save_top_k=-1)])
    *_, probe = fit(tmp_path, ckpt_path=tmp_path / "step=15.ckpt")
    assert probe.losses == plain_loop()[0][15:]


def test_a_run_resumed_at_an_epochs_end_goes_on_with_the_next(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    fit(tmp_path, data=Data(shuffle=True), callbacks=[checkpoint], max_epochs=2)
    *_, probe = fit(tmp_path, data=Data(shuffle=True), ckpt_path=tmp_path / "epoch=1.ckpt")
    *_, whole = fit(tmp_path, data=Data(shuffle=True))
    assert probe.losses == whole.losses[22:]


def test_the_mean_loss_survives_a_resume_in_an_epoch(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=25, save_top_k=-1)
    whole, *_ = fit(tmp_path, callbacks=[checkpoint])
    resumed, *_ = fit(tmp_path, ckpt_path=tmp_path / "step=25.ckpt")
    assert train_loss(resumed) == train_loss(whole)


@pytest.mark.parametrize("block_size", [2, 3, 5])
def test_the_mean_loss_does_not_depend_on_the_cuts(tmp_path, block_size):
    one, *_ = fit(tmp_path, data=Data(7, block_size=block_size))
    other, *_ = fit(tmp_path, data=Data(7, block_size=16))
    assert train_loss(one) == train_loss(other)


@pytest.mark.parametrize("block_size", [0, 1])
def test_the_mean_loss_is_the_mean_over_events(tmp_path, block_size):
    trainer, *_ = fit(tmp_path, data=Data(7, block_size=block_size), max_epochs=1)
    losses = plain_loop(7)[0][:16]
    assert train_loss(trainer) == pytest.approx((sum(losses[:-1]) * 7 + losses[-1] * 5) / ROWS)


# Outside of a Trainer


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loop_of_ones_own_gets_every_row_once_in_plain_batches_each_time(num_workers):
    loader = Data(32, shuffle=True, num_workers=num_workers).train_dataloader()
    for _ in range(2):
        batches = list(loader)
        assert [len(x) for x, _ in batches] == [32, 32, 32, 14]
        rows = torch.cat([x for x, _ in batches])
        assert torch.equal(rows.sort(dim=0)[0], tensors()[0].sort(dim=0)[0])


def test_a_loop_of_ones_own_gets_the_order_of_the_epoch_that_it_sets():
    loader = Data(32, shuffle=True).train_dataloader()
    first, again = ([x.tolist() for x, _ in loader] for _ in range(2))
    loader.set_epoch(1)
    assert first == again
    assert [x.tolist() for x, _ in loader] != first


def test_a_loader_handed_to_a_trainer_without_its_data_module_is_resumed_where_it_was():
    loader = Data(32, shuffle=True).train_dataloader()
    batches = iter(loader)
    seen = [next(batches), next(batches)]
    other = Data(32, shuffle=True).train_dataloader()
    other.load_state_dict(loader.state_dict())
    assert len(seen) + len(list(other)) == len(loader)

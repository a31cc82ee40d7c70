"""Event files as TensorBoard reads them."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2


def read(name="run", reader=EventAccumulator, version=0):
    """All events of a run."""
    sizes = {"scalars": 0, "images": 0, "tensors": 0, "histograms": 0}
    return reader(f"runs/{name}/version_{version}", size_guidance=sizes).Reload()


def hparam_row(name="run"):
    """The columns of a run in the HPARAMS tab, and the tags of its metrics."""
    content = read(name, PluginAccumulator).PluginTagToContent("hparams")
    start = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info
    columns = {key: value.number_value or value.string_value for key, value in start.hparams.items()}
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/experiment"]).experiment
    return columns, [metric.name.tag for metric in experiment.metric_infos]

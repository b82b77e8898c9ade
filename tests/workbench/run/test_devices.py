"""The device of a command, and how its processes share a network."""

import inspect

import pytest
import torch
from accelerate.state import AcceleratorState, PartialState
from torch.nn.parallel import DistributedDataParallel

from _support.mutants import catches
from _support.pretended_cuda import Event
from vistok.workbench.config import ConfigError
from vistok.workbench.cost.pretended_cuda import META, PretendedCuda
from vistok.workbench.run.devices import Arriving, best_device, computes_in_bfloat16, open_accelerator, to_device

SUBJECT = "vistok.workbench.run.devices"


@catches(SUBJECT, '"cuda" if torch.cuda.is_available()', '"cuda" if not torch.cuda.is_available()')
def test_the_device_is_cuda_where_there_is_one(monkeypatch):
    for available, kind in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert best_device() == torch.device(kind)


def test_a_training_in_one_process_says_so(caplog):
    with caplog.at_level("INFO"):
        assert open_accelerator().num_processes == 1
    assert "training in 1 process on " in caplog.text


@catches(SUBJECT, "_DataParallelOptions(find_unused_parameters=find_unused_parameters)", "_DataParallelOptions()")
def test_buffers_stay_each_processs_own_and_unused_parameters_are_looked_for_where_asked():
    """As a wrapper for several processes is made from these options."""
    names = inspect.signature(DistributedDataParallel).parameters
    own = {"forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers": False}
    assert open_accelerator().ddp_handler.to_kwargs() == own
    assert open_accelerator(find_unused_parameters=True).ddp_handler.to_kwargs() == {
        **own,
        "find_unused_parameters": True,
    }


@catches(SUBJECT, "    check_launcher()\n", "")
def test_an_accelerator_is_not_opened_with_settings_of_the_launchers_own(monkeypatch):
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "2")
    with pytest.raises(ConfigError, match="expected gradient_accumulation_steps 1, "):
        open_accelerator()


class Joining(Exception):
    """A process asks for its group."""


@catches(SUBJECT, ", kwargs_handlers=[waiting]", "")
@pytest.mark.parametrize("cuda", [False, True])
def test_processes_wait_for_each_other_for_days(monkeypatch, cuda):
    """Not for the ten minutes of a group of GPUs: the first may have all images to look at before."""

    def join(backend, *, timeout, **place):
        raise Joining(backend, timeout.days)

    for name in ("RANK", "LOCAL_RANK", "MASTER_PORT", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    for state in (PartialState, AcceleratorState):
        monkeypatch.setattr(state, "_shared_state", {})  # as in a process that has opened none yet
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.distributed, "init_process_group", join)
    with pytest.raises(Joining) as asked:
        open_accelerator()
    assert asked.value.args == ("nccl" if cuda else "gloo", 7)


@catches(SUBJECT, "to(device, non_blocking=True)", "to(device, non_blocking=False)")
@catches(SUBJECT, 'device.type == "cuda" and tensor', 'device.type != "cuda" and tensor')
def test_the_cpu_does_not_wait_for_copies_to_cuda(monkeypatch):
    asked = []

    class Pinned:
        def to(self, device, *, non_blocking):
            asked.append((device.type, non_blocking))

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: Pinned())
    to_device(torch.ones(2), torch.device("cuda"))
    assert asked == [("cuda", True)]


def test_to_the_cpu_or_where_it_is_a_tensor_goes_as_it_is():
    tensor = torch.ones(2)
    assert to_device(tensor, torch.device("cpu")) is tensor
    assert to_device(tensor, torch.device("meta")).is_meta


@catches(SUBJECT, 'tensor.to("cpu", non_blocking=True)', 'tensor.to("cpu")')
@catches(SUBJECT, "            self._event.record()", "            self._event.synchronize()")
@catches(SUBJECT, "            self._event.synchronize()", "            pass")
@catches(SUBJECT, "if tensor.is_cuda:", "if not tensor.is_cuda:")
def test_what_arrives_from_cuda_is_waited_for_when_it_is_read(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(Event, "waited", 0)
    with PretendedCuda():
        arriving = Arriving(torch.empty(3, device=META))
    assert Event.waited == 0
    assert arriving.read().tolist() == [1.0, 1.0, 1.0]
    assert Event.waited == 1
    assert Arriving(torch.ones(2)).read().tolist() == [1.0, 1.0]
    assert Event.waited == 1


@catches(SUBJECT, 'if device.type != "cpu":', "if False:")
@catches(SUBJECT, "torch.backends.mkldnn.is_available() and ", "")
def test_cards_have_it_and_processors_by_their_instructions(monkeypatch):
    for products in (False, True):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda products=products: products)
        assert computes_in_bfloat16(torch.device("cuda"))
        assert computes_in_bfloat16(torch.device("cpu")) == (products and torch.backends.mkldnn.is_available())
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not computes_in_bfloat16(torch.device("cpu"))

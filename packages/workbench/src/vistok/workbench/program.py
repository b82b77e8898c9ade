"""A program of several commands: options, how much it says, errors in one line, exit codes."""

import functools
import logging
import os
import shlex
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import tyro
from tqdm.contrib.logging import logging_redirect_tqdm

from vistok.workbench.config import ConfigError
from vistok.workbench.output import Output, OutputOptions
from vistok.workbench.run.allocator import keep_freed_memory
from vistok.workbench.run.checkpoint import CheckpointError
from vistok.workbench.run.files import NoSpaceError
from vistok.workbench.run.processes import close_processes, process_index, speaking_first
from vistok.workbench.training.finite import NonFiniteLossError
from vistok.workbench.training.signals import Interrupted

logger = logging.getLogger(__name__)

#: Errors whose message is for the user; anything else leaves its traceback in a file.
USER_ERRORS = (ConfigError, CheckpointError, NonFiniteLossError, OSError, ValueError)

#: Exit codes, as ``--help`` says them, with a program's own words in the braces. An option that the command does not
#: have ends with ``MISTAKEN``, too.
DONE, UNEXPECTED, MISTAKEN, STOPPED = 0, 1, 2, 130
EXIT_CODES = (
    "Exit codes: 0 done; 1 an error that nobody foresaw, whose traceback is in the file named{failing}; "
    "2 a mistake in what was asked, or a file that cannot be read or written; 130 interrupted, {again} continues."
)

_LONGEST_ARGUMENT = 4096  # the longest path there is; an error repeats what it cannot read
_LONGEST_REASON = 300
_NOISY = ("httpx", "datasets", "timm", "huggingface_hub", "matplotlib", "onnx_ir", "onnxscript")


class UnexpectedError(RuntimeError):
    """Something that no check foresaw; the message is one line and names the file with the traceback."""


def run_command_line(
    program: str,
    description: str,
    commands: Mapping[str, Callable[[Any], Output | None]],
    *,
    again: str = "--resume",
    failing: str = "",
) -> None:
    """Parse the command line, run its command, and print what it made as its options ask for.

    Errors are one line on the standard error, with the exit codes of :data:`EXIT_CODES`, and with ``--json`` an object
    on the standard output, also where the command line cannot be read; of several processes one speaks.

    Args:
        program: The command's name.
        description: One sentence for ``--help``.
        commands: Each takes one data class, whose fields are the command's options; an :class:`OutputOptions` says how
            much it says.
        again: What continues an interrupted command.
        failing: What else ends with exit code 1, after a comma.
    """
    keep_freed_memory()
    root = logging.getLogger()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    earlier, options = root.level, [OutputOptions(json="--json" in sys.argv[1:])]
    root.setLevel(logging.INFO if process_index() == 0 else logging.WARNING)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    torch.set_float32_matmul_precision("high")
    output, message = Output(), ""
    try:
        _check_lengths(sys.argv[1:])
        with logging_redirect_tqdm(), warnings.catch_warnings():
            made = tyro.extras.subcommand_cli_from_dict(
                {name: _heard(command, options) for name, command in commands.items()},
                prog=program,
                description=f"{description}\n\n{EXIT_CODES.format(failing=failing, again=again)}",
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
        output = made or output
    except SystemExit as stop:  # of --help, or of a command line that could not be read: why is said already
        if stop.code and process_index() == 0:
            Output({"error": _unread(program), "exit_code": stop.code}).write(options[-1])
        raise
    except (Exception, KeyboardInterrupt) as error:
        message, code = _told(error, program, again)
        output = Output({"error": message, "exit_code": code}, code=code)
    finally:
        root.setLevel(earlier)
    if message:
        with speaking_first() as speaks:
            if speaks:
                logger.error("%s: %s", program, message)
                output.write(options[-1])
    elif process_index() == 0:
        output.write(options[-1])
    close_processes()  # after the error: its traceback holds what is to be closed
    if output.code:
        sys.exit(output.code)


def one_line(error: BaseException) -> str:
    """The kind of an error and what it says, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:_LONGEST_REASON]}" if text else type(error).__name__


def _heard(command: Callable[[Any], Output | None], seen: list[OutputOptions]) -> Callable[[Any], Output | None]:
    """The command, as loud as its options say; these are added to ``seen``."""

    @functools.wraps(command)
    def run(options: Any) -> Output | None:
        seen.append(options)
        if options.quiet or not sys.stderr.isatty():
            os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # they know nothing of terminals
        if options.quiet:
            logging.getLogger().setLevel(logging.ERROR)
            warnings.simplefilter("ignore")
        return command(options)

    return run


def _told(error: BaseException, program: str, again: str) -> tuple[str, int]:
    """What an error says, in one line, and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted; {again} continues from the newest checkpoint", STOPPED
    said = " ".join(str(error).split())
    if isinstance(error, Interrupted):
        return said, STOPPED
    if isinstance(error, UnexpectedError):
        return said, UNEXPECTED
    if isinstance(error, USER_ERRORS):
        foreseen = not isinstance(error, OSError) or isinstance(error, FileNotFoundError | NoSpaceError)
        return said if foreseen else one_line(error), MISTAKEN
    with tempfile.NamedTemporaryFile("w", prefix=f"{program}-error-", suffix=".log", delete=False) as log:
        log.write("".join(traceback.format_exception(error)))
    return f"{one_line(error)}; the traceback is in {log.name}", UNEXPECTED


def _unread(program: str) -> str:
    return f"arguments: expected those of {program} --help, got {shlex.join(sys.argv[1:]):.{_LONGEST_REASON}}"


def _check_lengths(arguments: Sequence[str]) -> None:
    for position, argument in enumerate(arguments, 1):
        if len(argument) > _LONGEST_ARGUMENT:
            before = f" (after {arguments[position - 2]:.40})" if position > 1 else ""
            raise ConfigError(
                f"argument {position}{before}: expected at most {_LONGEST_ARGUMENT} characters, got {len(argument)}"
            )

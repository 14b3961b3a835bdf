"""What `graphc bench` makes of a target that is a file."""

from graphc.bench.run import is_file_target
from graphc.cli.no_cache import is_cache_off
from graphc.cli.reporting import exit_if_rejected, kept_signatures, read_settings, report
from graphc.cli.running import find_graphs
from graphc.cli.target_option import chosen_target
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.lower.options import Options


def read_compiling(target: str, settings: tuple[str, ...], level: int, costs: str | None) -> Request | None:
    """Return how a graph file is compiled, None for anything else; end with what is wrong with it."""
    if not is_file_target(target) or not find_graphs((target,)):
        return None
    request = Request(
        (target,),
        read_settings(settings),
        options=Options(level),
        purpose="local",
        costs=costs,
        signatures=kept_signatures(),
        target=chosen_target(),
    )
    done = compile_files(request)
    report(done, "text", to_stderr=True)
    exit_if_rejected(done)
    return request


def run_arguments(settings: tuple[str, ...], level: int, costs: str | None) -> tuple[str, ...]:
    """Return the options with which `graphc run` compiles a graph file alike."""
    found = [f"-O{level}", *(["--no-cache"] if is_cache_off() else [])]
    for each in settings:
        found += ["--set", each]
    if (target := chosen_target()) is not None:
        found += ["--target", target]
    return (*found, "--costs", costs) if costs else tuple(found)

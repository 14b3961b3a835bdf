"""Show an answer's tensors as tables."""

from collections.abc import Iterator, Sequence
from typing import Final, cast

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from graphc.client.printing import clean
from graphc.client.tensor import Array, Tensor

MAX_ROWS: Final = 50
MAX_COLUMNS: Final = 12
MAX_CELL: Final = 120
_ANY_WIDTH: Final = 10_000

Column = tuple[str, Array]


def print_table(tensors: Sequence[Tensor], console: Console | None = None) -> None:
    """Print outputs of one length side by side, others each in a table of its own."""
    console = console or Console(soft_wrap=True, highlight=False)
    lengths = {tensor.array.shape[:1] for tensor in tensors}
    groups = [list(tensors)] if len(lengths) == 1 else [[tensor] for tensor in tensors]
    for group in groups:
        _print_group(group, console)


def _print_group(tensors: Sequence[Tensor], console: Console) -> None:
    table, rows = _lay_out(tensors, MAX_COLUMNS)
    wanted = Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).maximum
    if wanted > console.width:
        # A number of which only the first digit is seen says the wrong thing; a cell of several can go on below.
        table, rows = _lay_out(tensors, 1)
    console.print(table, no_wrap=False)
    if rows > MAX_ROWS:
        console.print(f"… and {rows - MAX_ROWS} more rows")


def _lay_out(tensors: Sequence[Tensor], most: int) -> tuple[Table, int]:
    """Return a table of tensors, with at most so many columns each, and how many rows they have in all."""
    columns = [column for tensor in tensors for column in split_columns(tensor, most)]
    table = Table(box=SIMPLE, highlight=False)
    for title, _ in columns:
        table.add_column(escape(clean(title)), overflow="fold")
    rows = max((len(values) for _, values in columns), default=0)
    for row in range(min(rows, MAX_ROWS)):
        table.add_row(*(escape(_write(values[row])) for _, values in columns))
    return table, rows


def split_columns(tensor: Tensor, most: int = MAX_COLUMNS) -> Iterator[Column]:
    """Yield a tensor as columns with their titles: a matrix of few columns gives each of them."""
    array = tensor.array if tensor.array.ndim else tensor.array.reshape(1)
    width = tensor.shape[1] if len(tensor.shape) == 2 else 0
    if 1 < width <= most:
        for index in range(width):
            yield f"{tensor.name}[{index}]", array[:, index]
    elif width == 1:
        yield tensor.name, array[:, 0]
    else:
        yield tensor.name, array


def _write(value: object) -> str:
    if isinstance(value, bytes):
        text = _write_bytes(value)
    elif hasattr(value, "tolist"):
        text = _write_plain(cast("Array", value).tolist())
    else:
        text = _write_plain(value)
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}…"


def _write_plain(value: object) -> str:
    if isinstance(value, list):
        items = cast("list[object]", value)[:MAX_CELL]
        return "[" + ", ".join(map(_write_plain, items)) + "]"
    if isinstance(value, bytes):
        return _write_bytes(value)
    return f"{value:.6g}" if isinstance(value, float) else clean(str(value))


def _write_bytes(value: bytes) -> str:
    try:
        return clean(value.decode())
    except UnicodeDecodeError:
        return f"<{len(value)} bytes>"

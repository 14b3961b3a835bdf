"""Turns what a profile says of nodes into pools, and reports what no node can be."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.gpus import NO_SUCH_POOL
from graphc.diagnostics.suggest import nearest
from graphc.gpus.pools import Gpus, Pool, Taint
from graphc.gpus.products import PRODUCTS, Product, products_called, slice_name
from graphc.profiles.fields import GpusSpec, PoolSpec
from graphc.quantities import parse_quantity
from graphc.source.located import Fields, locate

MIB: Final = 2**20


def read_pools(specs: Sequence[PoolSpec], document: Fields, sink: Sink) -> tuple[Pool, ...]:
    """Return the pools of a profile; those that cannot be are reported and left out."""
    found: dict[str, Pool] = {}
    for index, spec in enumerate(specs):
        if spec.name in found:
            message = f"two pools are called `{spec.name}`"
            sink.report(Diagnostic(NO_SUCH_POOL, message, locate(document, ("pools", index, "name"))))
            continue
        gpus = None if spec.gpus is None else _Reading(spec.gpus, document, index, sink).read()
        if spec.gpus is None or gpus is not None:
            found[spec.name] = _pool(spec, gpus)
    return tuple(found.values())


def _pool(spec: PoolSpec, gpus: Gpus | None) -> Pool:
    return Pool(
        spec.name,
        spec.nodes,
        ceil(round(parse_quantity(spec.cpu) * 1000, 3)),
        ceil(round(parse_quantity(spec.memory), 3)),
        gpus,
        spec.labels,
        tuple(Taint(each.key, each.value, each.effect) for each in spec.taints),
        spec.runtime_class,
        spec.pods,
    )


class _Reading:
    """The reading of one pool's GPUs."""

    def __init__(self, spec: GpusSpec, document: Fields, index: int, sink: Sink) -> None:
        self._spec, self._document, self._index, self._sink = spec, document, index, sink

    def read(self) -> Gpus | None:
        spec, product = self._spec, self._product()
        if product is None:
            return None
        if spec.sharing in {"mps", "time-slicing"}:
            return self._read_replicas(product)
        if spec.replicas is not None:
            return self._refuse(f"devices are `{spec.sharing}`, and have no `replicas`", "replicas")
        if spec.sharing == "mig":
            return self._read_slices(product)
        if spec.mig is not None:
            return self._refuse("`mig` is said of devices whose `sharing` is not `mig`", "mig")
        return Gpus(product, spec.count)

    def _product(self) -> Product | None:
        name, memory = self._spec.product, self._spec.memory
        known = products_called(name)
        mib = None if memory is None else floor(parse_quantity(memory) / MIB)
        if len(known) == 1:
            product = known[0]
            return product if mib is None else Product(product.name, mib, product.labels, product.slices)
        if known:
            listed = " or ".join(f"`{each.name}`" for each in known)
            self._refuse(f"`{name}` are several products", "product", f"say {listed}")
            return None
        if mib is None:
            close = nearest(name, PRODUCTS)
            hint = f"did you mean `{close}`?" if close else "say the `memory` of a device of it"
            self._refuse(f"graphc does not know the product `{name}`", "product", hint)
            return None
        return Product(name, mib, ())

    def _read_replicas(self, product: Product) -> Gpus | None:
        spec = self._spec
        if spec.mig is not None:
            return self._refuse("a device is parted by MIG or by replicas, not by both", "mig")
        if spec.replicas is None or spec.replicas < 2:
            message = f"devices are shared by {spec.sharing}, and `replicas` does not say among how many"
            return self._refuse(message, "sharing", "say `replicas: 4`, for four parts of each")
        return Gpus(product, spec.count, spec.sharing, spec.replicas, spec.renamed)

    def _read_slices(self, product: Product) -> Gpus | None:
        mig = self._spec.mig
        if mig is None or not mig.slices:
            return self._refuse("devices are parted by MIG, and `mig` does not say how", "sharing")
        if mig.strategy == "single" and len(mig.slices) > 1:
            return self._refuse("the single strategy has slices of one kind", "mig", "say `strategy: mixed`")
        slices: dict[str, int] = {}
        for text, count in mig.slices.items():
            name = slice_name(text)
            if name is None or name not in product.slices:
                listed = ", ".join(product.slices) or "none"
                hint = f"its slices: {listed}"
                return self._refuse(f"`{product.name}` has no slice `{text}`", "mig", hint, "slices", text)
            slices[name] = count
        # Compute and memory are parted on their own: seven slices of a seventh leave an eighth of the memory.
        share = sum((product.slices[name].share * count for name, count in slices.items()), Fraction(0))
        memory = sum(product.slices[name].memory_mib * count for name, count in slices.items())
        most = all(count <= product.slices[name].most for name, count in slices.items())
        if share > 1 or memory > product.memory_mib or not most:
            return self._refuse(
                f"one `{product.name}` has not room for all of these slices", "mig", None, "slices"
            )
        return Gpus(product, self._spec.count, "mig", strategy=mig.strategy, slices=slices)

    def _refuse(self, message: str, field: str, hint: str | None = None, *path: str) -> None:
        at = self._at(field, *path)
        self._sink.report(Diagnostic(NO_SUCH_POOL, message, at, hint))

    def _at(self, *path: str) -> Span:
        return locate(self._document, ("pools", self._index, "gpus", *path))

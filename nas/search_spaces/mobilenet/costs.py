"""The cost terms of a MobileNet space, read from plans: one for each block, one for stem and head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nas.search_spaces.cost_terms import Chosen, CostTerm, tabulated
from nas.search_spaces.gene import Gene
from nas.search_spaces.mobilenet.config import MobileNetConfig, block_plan, map_size
from nas.search_spaces.mobilenet.plan import NetworkPlan

Plan = Callable[[Mapping[str, int]], NetworkPlan]


def cost_terms(config: MobileNetConfig, genes: Sequence[Gene], plan: Plan) -> tuple[CostTerm, ...]:
    """Terms that add up to the params and macs of a plan.

    Args:
        config: The choices.
        genes: Every gene of the space.
        plan: The network with these values of genes, and with any values for the others.
    """
    blocks = [(s, b) for s, spec in enumerate(config.stages) for b in range(spec.depths[-1])]
    return (_ends(config, genes, plan), *(_block(config, genes, s, b) for s, b in blocks))


def _ends(config: MobileNetConfig, genes: Sequence[Gene], plan: Plan) -> CostTerm:
    def cost(chosen: Chosen) -> tuple[int, int]:
        network = plan(_integers(chosen))
        (params, macs), (head_params, head_macs) = network.stem_cost, network.head_cost
        return params + head_params, macs + head_macs

    return tabulated(_own(genes, {"resolution", f"stage{len(config.stages) - 1}.width"}), cost)


def _block(config: MobileNetConfig, genes: Sequence[Gene], s: int, b: int) -> CostTerm:
    spec = config.stages[s]
    before, depth, width = f"stage{s - 1}.width", f"stage{s}.depth", f"stage{s}.width"
    kernel, expansion = f"stage{s}.block{b}.kernel", f"stage{s}.block{b}.expansion"
    # Decisions with a single choice are no genes.
    fixed = {"resolution": config.resolutions[0], depth: b + 1, width: spec.widths[0]}
    fixed |= {kernel: spec.kernels[0], expansion: spec.expansions[0]}
    fixed[before] = config.stages[s - 1].widths[0] if s else config.stem_channels
    depends = {"resolution", width, kernel, expansion} | ({before} if b == 0 else set())
    if b >= spec.depths[0] and len(spec.kernels) == len(spec.expansions) == 1:
        depends.add(depth)  # no gene of its own says whether this block exists

    def cost(chosen: Chosen) -> tuple[int, int]:
        values = fixed | _integers(chosen)
        if values[depth] <= b:
            return 0, 0
        channels, size = values[before if b == 0 else width], map_size(config, values["resolution"], s, b)
        block = block_plan(config, s, b, channels, values[width], values[kernel], values[expansion], size)
        return block.params, block.macs

    return tabulated(_own(genes, depends), cost)


def _own(genes: Sequence[Gene], names: set[str]) -> list[Gene]:
    """Those that are genes; decisions with one choice are none."""
    return [gene for gene in genes if gene.name in names]


def _integers(chosen: Chosen) -> dict[str, int]:
    return {name: int(value) for name, value in chosen.items()}

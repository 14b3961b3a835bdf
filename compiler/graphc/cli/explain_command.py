"""`graphc explain`: say why a rule exists, or why a plan is as it is."""

import json
from dataclasses import replace

import click

from graphc.cli.reporting import exit_if_rejected, plan_options, report
from graphc.compile.request import Request
from graphc.diagnostics.pages import find_rule, names_rule, nearest_rule, read_page
from graphc.diagnostics.rules import RULES
from graphc.diagnostics.suggest import nearest

_ALL_COMPONENTS = "components"


@click.command("explain")
@click.argument("target", metavar="CODE|COMPONENT|FILE", required=False)
@plan_options
@click.option(
    "--output-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The format of a plan.",
)
def command(
    target: str | None,
    request: Request,
    output_format: str,
) -> None:
    """Say why the rule CODE exists, what COMPONENT does, or how graphc plans the graph of FILE, and why.

    CODE is a code such as GC201, or a rule's name. COMPONENT is a name such as `mean`, or `components` for a list. FILE
    is a graph file, or `-`. Without any, list the rules.
    """
    if target is None:
        _list_rules()
    elif target == _ALL_COMPONENTS:
        _list_components()
    elif _names_component(target):
        _explain_component(target)
    elif names_rule(target):
        _explain_rule(target)
    else:
        _explain_file(replace(request, paths=(target,)), output_format)


def _names_component(target: str) -> bool:
    # What knows of components is not needed for a rule's page.
    from graphc.explain.components import names_component

    return names_component(target)


def _list_components() -> None:
    from graphc_components.catalog import CATALOG, ROUTERS

    every = [*CATALOG.values(), *ROUTERS.values()]
    width = max(len(each.name) for each in every)
    for each in every:
        click.echo(f"{each.name:<{width}}  {each.role.value:<11}  {each.summary}")


def _explain_component(target: str) -> None:
    from graphc.explain.components import write_component

    click.echo(write_component(target), nl=False)


def _list_rules() -> None:
    width = max(len(rule.name) for rule in RULES.values())
    for rule in RULES.values():
        click.echo(f"{rule.code}  {rule.name:<{width}}  {rule.summary}")


def _explain_rule(target: str) -> None:
    rule = find_rule(target)
    if rule is None:
        from graphc.explain.components import component_names

        close = nearest_rule(target) or nearest(target, component_names())
        hint = f"did you mean `{close}`?" if close else "`graphc explain` lists the rules"
        click.echo(f"error: no rule or component is called `{target}`\n  = help: {hint}", err=True)
        raise SystemExit(1)
    click.echo(read_page(rule), nl=False)


def _explain_file(request: Request, output_format: str) -> None:
    # The compiler is slow to import, and a rule's page needs none of it.
    from graphc.compile.compile_files import compile_files
    from graphc.explain.explain_plan import explain_plan
    from graphc.explain.write_explanation import write_explanation

    done = compile_files(request)
    report(done, "text", to_stderr=True)
    if not done.only_lost:
        exit_if_rejected(done)
    plans = [
        explain_plan(
            plan, name, graph.emission.landings.get(name, ()) if graph.emission else (), graph.losses
        )
        for graph in done.graphs
        for name, plan in graph.plans.items()
    ]
    if output_format == "json":
        click.echo(json.dumps([plan.to_json() for plan in plans], indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(write_explanation(plan) for plan in plans), nl=False)
    exit_if_rejected(done)

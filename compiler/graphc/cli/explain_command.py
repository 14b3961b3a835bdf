"""`graphc explain`: say why a rule exists, with an example."""

import click

from graphc.diagnostics.codes import RULES
from graphc.diagnostics.pages import find_rule, names_rule, nearest_rule, read_page


@click.command("explain")
@click.argument("target", metavar="CODE", required=False)
def command(target: str | None) -> None:
    """Say why the rule CODE exists, with an example; without CODE, list the rules.

    CODE is a code such as GC201, or a rule's name.
    """
    if target is None:
        _list_rules()
    elif names_rule(target):
        _explain_rule(target)
    else:
        raise click.BadParameter(f"`{target}` is not a rule's code or name", param_hint="CODE")


def _list_rules() -> None:
    width = max(len(rule.name) for rule in RULES.values())
    for rule in RULES.values():
        click.echo(f"{rule.code}  {rule.name:<{width}}  {rule.summary}")


def _explain_rule(target: str) -> None:
    rule = find_rule(target)
    if rule is None:
        close = nearest_rule(target)
        hint = f"did you mean `{close}`?" if close else "`graphc explain` lists the rules"
        click.echo(f"error: no rule is called `{target}`\n  = help: {hint}", err=True)
        raise SystemExit(1)
    click.echo(read_page(rule), nl=False)

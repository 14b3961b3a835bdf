"""The page of `graphc view` in a real browser: quiet, whole, and reached by pointer and keyboard."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest
from browser import Tab, find_browser, open_tab
from click.testing import CliRunner
from graphc.cli import main
from viewed_graphs import GRAPHS, ROOT, write_chain, write_hostile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="there is no Chromium"),
]
SIZES: Final = ((1600, 900), (1024, 768), (390, 844))


def write_page(graph: Path, folder: Path) -> Path:
    page = folder / f"{graph.parent.name}.html"
    result = CliRunner().invoke(main, ["view", str(graph), "-o", str(page)])
    assert result.exit_code == 0, result.output
    return page


def in_browser(work: Callable[[Tab], Awaitable[None]]) -> None:
    async def run() -> None:
        async with open_tab() as tab:
            await work(tab)
            assert tab.problems == []

    asyncio.run(run())


def test_pages_of_all_examples_are_quiet_and_fit_at_three_sizes(tmp_path: Path) -> None:
    pages = [write_page(graph, tmp_path) for graph in GRAPHS]

    async def look(tab: Tab) -> None:
        for page in pages:
            for size in SIZES:
                await tab.show(page, *size, dark=size == SIZES[1])
                # Nothing is wider than the window, and every box of the first predictor can be seen.
                assert await tab.run("document.documentElement.scrollWidth") <= size[0]
                seen = await tab.run(
                    "[...document.querySelectorAll('.view:not([hidden]) .box')].map((each) => {"
                    " const at = each.getBoundingClientRect(), all = each.closest('svg').getBoundingClientRect();"
                    " return at.width > 0 && at.left >= all.left - 1 && at.right <= all.right + 1"
                    " && at.top >= all.top - 1 && at.bottom <= all.bottom + 1; })"
                )
                assert seen, page.name
                assert all(seen), f"{page.name} at {size}"

    in_browser(look)


def test_a_box_tells_its_facts_by_pointer_and_by_keyboard(tmp_path: Path) -> None:
    page = write_page(ROOT / "graphs" / "wine-average" / "graph.yaml", tmp_path)

    async def look(tab: Tab) -> None:
        await tab.show(page, *SIZES[0])
        x, y = await tab.run(
            "(() => { const at = document.querySelector('.plan [aria-label^=\"model forest\"]')"
            ".getBoundingClientRect(); return [at.x + at.width / 2, at.y + at.height / 2]; })()"
        )
        await tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        facts = await tab.run("document.getElementById('facts').innerText")
        assert "models/forest.onnx" in facts
        assert "forest:" in facts  # the lines of the file
        # The same node of the graph as it is in the file is shown, too.
        assert await tab.run("document.querySelectorAll('.graph .box.near').length") == 1
        for kind in ("mousePressed", "mouseReleased"):
            await tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        await tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=400)
        assert "models/forest.onnx" in await tab.run("document.getElementById('facts').innerText")
        await tab.press("Escape")
        # By keyboard: as many presses as there are boxes reach each of them.
        reached: set[str] = set()
        await tab.run("document.querySelector('.plan [data-at]').focus()")
        for _ in range(await tab.run("document.querySelectorAll('.plan [data-at]').length")):
            reached.add(await tab.run("document.activeElement.getAttribute('aria-label')"))
            await tab.press("Tab")
        assert sum(label.startswith("model ") for label in reached) == 4
        await tab.run("document.querySelector('.plan [aria-label^=\"component average\"]').focus()")
        await tab.press("Enter", "\r")
        assert "mean" in await tab.run("document.querySelector('#facts').innerText")
        assert await tab.run("document.querySelectorAll('.kept').length") == 1

    in_browser(look)


def test_large_graphs_can_be_searched_zoomed_and_moved(tmp_path: Path) -> None:
    page = write_page(write_chain(tmp_path / "graph.yaml", 500), tmp_path)

    async def look(tab: Tab) -> None:
        await tab.show(page, *SIZES[0])
        assert await tab.run("document.querySelectorAll('.plan .box').length") > 500
        await tab.press("/")
        assert await tab.run("document.activeElement.id") == "search"
        await tab.call("Input.insertText", text="step-417")
        # The node in both pictures, and those that read it.
        found = await tab.run("document.getElementById('found').textContent")
        assert int(found.removesuffix(" found")) >= 2
        await tab.press("Enter", "\r")
        at = await tab.run(
            "document.querySelector('.graph [aria-label^=\"component step-417,\"]').getBoundingClientRect().toJSON()"
        )
        assert at["width"] > 60
        assert 0 < at["left"] < SIZES[0][0]
        assert await tab.run("document.querySelector('#facts h3').innerText") == "step-417"
        await tab.press("Escape")
        assert await tab.run("document.querySelectorAll('.hit').length") == 0
        box = "document.querySelector('.plan svg').getAttribute('viewBox').split(' ').map(Number)"
        before = await tab.run(box)
        await tab.press("+", "+")
        nearer = await tab.run(box)
        assert nearer[2] < before[2]
        await tab.press("0", "0")
        whole = await tab.run(box)
        assert whole[2] > before[2]
        await tab.press("v", "v")
        assert await tab.run("getComputedStyle(document.querySelector('.plan')).display") == "none"

    in_browser(look)


def test_another_predictor_and_hostile_names(tmp_path: Path) -> None:
    page = write_page(ROOT / "graphs" / "cancer-rollout" / "graph.yaml", tmp_path)
    (tmp_path / "bad").mkdir()
    hostile = write_page(write_hostile(tmp_path / "bad" / "graph.yaml"), tmp_path)

    async def look(tab: Tab) -> None:
        await tab.show(page, *SIZES[0])
        await tab.run("document.querySelectorAll('nav button')[2].click()")
        await tab.run(
            "document.querySelector('.view:not([hidden]) .plan [aria-label^=\"model score\"]').focus()"
        )
        assert "forest.onnx" in await tab.run("document.getElementById('facts').innerText")
        await tab.show(hostile, *SIZES[0])
        await tab.run("document.querySelector('.plan [aria-label^=\"component label\"]').focus()")
        assert "onerror" in await tab.run("document.getElementById('facts').innerText")
        assert await tab.run("document.images.length") == 0

    in_browser(look)


def test_the_page_of_a_change_is_quiet_fits_and_tells_what_changed(tmp_path: Path) -> None:
    old = ROOT / "graphs" / "iris-cascade" / "graph.yaml"
    new = tmp_path / "graph.yaml"
    text = old.read_text().replace("model: models/", f"model: {old.parent}/models/")
    new.write_text(
        text.replace("until: 0.9", "until: 0.8").replace("  species: species  # BYTES[batch]\n", "")
    )
    page = tmp_path / "change.html"
    result = CliRunner().invoke(main, ["view", "--diff", str(old), str(new), "-o", str(page)])
    assert result.exit_code == 0, result.output

    async def look(tab: Tab) -> None:
        for size in SIZES:
            await tab.show(page, *size, dark=size == SIZES[1])
            assert await tab.run("document.documentElement.scrollWidth") <= size[0]
            # Every sign can be seen, and stands out from what it is drawn on.
            colors = await tab.run(
                "[...document.querySelectorAll('.view:not([hidden]) .sign')].map((each) => ["
                " getComputedStyle(each.querySelector('circle')).fill,"
                " getComputedStyle(each.querySelector('text')).fill,"
                " each.getBoundingClientRect().width])"
            )
            assert colors
            assert all(_contrast(ground, ink) >= 4.5 and width > 4 for ground, ink, width in colors), colors
        await tab.show(page, *SIZES[0])
        told = await tab.run("document.querySelector('.told').innerText")
        assert "leaves at a confidence of 0.9 → leaves at a confidence of 0.8" in told
        assert "added" in told
        await tab.run("document.querySelector('.graph [aria-label^=\"changed: choice answer\"]').focus()")
        facts = await tab.run("document.getElementById('facts').innerText")
        assert "changed" in facts
        assert "0.9 → " in facts
        await tab.press("/")
        await tab.call("Input.insertText", text="removed:")
        # The output, and the nodes that nothing else needs.
        assert await tab.run("document.querySelectorAll('.graph .hit').length") == 3

    in_browser(look)


def test_the_page_of_a_plan_is_quiet_and_has_one_picture(tmp_path: Path) -> None:
    old = ROOT / "graphs" / "iris-cascade" / "graph.yaml"
    new = tmp_path / "graph.yaml"
    text = old.read_text().replace("model: models/", f"model: {old.parent}/models/")
    new.write_text(text.replace("until: 0.9", "until: 0.8"))
    page = tmp_path / "plan.html"
    result = CliRunner().invoke(main, ["plan", str(new), "--against", str(old), "--page", str(page)])
    assert result.exit_code == 2, result.output

    async def look(tab: Tab) -> None:
        for size in SIZES:
            await tab.show(page, *size, dark=size == SIZES[1])
            assert await tab.run("document.documentElement.scrollWidth") <= size[0]
            assert await tab.run("document.querySelectorAll('svg.picture').length") == 1
            assert await tab.run("document.getElementById('parts').getBoundingClientRect().width") == 0
            wide = await tab.run("document.querySelector('svg.picture').getBoundingClientRect().width")
            assert wide > size[0] / 2
        await tab.press("v", "v")
        assert await tab.run("getComputedStyle(document.querySelector('.plan')).display") != "none"
        await tab.run("document.querySelector('[aria-label^=\"changed: choice answer\"]').focus()")
        assert "until: 0.9 → 0.8" in await tab.run("document.getElementById('facts').innerText")

    in_browser(look)


def _contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as the guidelines for accessible pages have it."""

    def light(color: str) -> float:
        parts = [int(each) / 255 for each in color.removeprefix("rgb(").removesuffix(")").split(",")]
        red, green, blue = (
            each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    lighter, darker = sorted((light(one), light(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)

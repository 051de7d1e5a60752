"""The documentation of the API at /docs: complete, and readable in a browser without a network."""

import re
from html import unescape
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from tests.apps import running_app
from tests.routes.pages.conftest import Visit
from tests.server.serving import Server

NOWHERE = "http://127.0.0.1:9"

LOOKS: tuple[tuple[int, Literal["light", "dark"]], ...] = (
    (1280, "light"),
    (1280, "dark"),
    (390, "light"),
    (390, "dark"),
)


@pytest.mark.parametrize("root_path", ["", "/odds"])
async def test_it_has_everything_that_the_documents_have(tmp_path: Path, root_path: str) -> None:
    """Each operation, response, parameter, message and model, and links that lead somewhere."""
    async with running_app(tmp_path, NOWHERE, root_path=root_path) as running:
        openapi = await running.get(f"{root_path}/openapi.json")
        asyncapi = await running.get(f"{root_path}/asyncapi.json")
        page = await (await running.client.get(f"{root_path}/docs")).get_data(as_text=True)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= {*ids}
    text = unescape(re.sub("</?code>", "`", page))
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            assert f'<b data-method="{method.upper()}">{method.upper()}</b> {path}</code>' in page
            assert operation["summary"] in text
            needed = {scope for each in operation["security"] for scopes in each.values() for scope in scopes}
            assert all(f"Scope: {each}." in text for each in needed)
            assert all(f"<code>{each['name']}</code>" in page for each in operation["parameters"])
    models: dict[str, Any] = openapi["components"]["schemas"] | asyncapi["components"]["schemas"]
    assert {f"model-{name}" for name in models} <= {*ids}
    assert {f"message-{name}" for name in asyncapi["components"]["messages"]} <= {*ids}
    for channel in asyncapi["channels"].values():
        assert channel["address"] in page
    assert f"curl http://127.0.0.1:8000{root_path}/api/events/12\n" in page.replace("</code>", "\n")
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    local = {each for each in re.findall(r'(?:src|href)="([^"#]+)', page) if not each.startswith(f"{root_path}/")}
    assert local == set()


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_it_is_readable_everywhere(
    scraped: Server, visit: Visit, width: int, scheme: Literal["light", "dark"]
) -> None:
    """Nothing is wider than the window, nothing comes from elsewhere, and a link leads to its place."""
    async with visit(f"{scraped.url}/healthz") as visitor:
        asked: list[str] = []
        visitor.page.on("request", lambda request: asked.append(request.url))
        await visitor.page.set_viewport_size({"width": width, "height": 860})
        await visitor.page.emulate_media(color_scheme=scheme)
        await visitor.page.goto(f"{scraped.url}/docs")
        assert await visitor.value("document.documentElement.scrollWidth - innerWidth") <= 0
        await visitor.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        assert await visitor.value("document.documentElement.scrollWidth - innerWidth") <= 0
        await visitor.page.goto(f"{scraped.url}/docs#model-EventDetail")
        top = "document.getElementById('model-EventDetail').getBoundingClientRect().top"
        await visitor.until(f"{top} >= 0 && {top} < innerHeight")
        assert {urlsplit(each).netloc for each in asked} == {urlsplit(scraped.url).netloc}

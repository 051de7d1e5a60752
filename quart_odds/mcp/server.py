"""The tools as the protocol has them, whichever transport carries it."""

import orjson
import structlog
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)

from quart_odds import __version__
from quart_odds.errors import QuartOddsError
from quart_odds.mcp.sources import Source
from quart_odds.mcp.tools import INSTRUCTIONS, TOOLS

READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
"""What clients may tell their users of every tool."""

log = structlog.get_logger(__name__)


def mcp_server(source: Source) -> Server:
    """Return a server with every tool, which reads from `source`."""
    by_name = {tool.name: tool for tool in TOOLS}
    listed = ListToolsResult(
        tools=[
            Tool(
                name=tool.name,
                title=tool.title,
                description=tool.description,
                input_schema=tool.takes.model_json_schema(),
                output_schema=tool.gives.model_json_schema(mode="serialization"),
                annotations=READS,
            )
            for tool in TOOLS
        ]
    )

    async def list_tools(_: object, __: object) -> ListToolsResult:
        return listed

    async def call_tool(_: object, asked: CallToolRequestParams) -> CallToolResult:
        tool = by_name.get(asked.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"there is no tool {asked.name!r}; there are {', '.join(by_name)}")
        try:
            answer = await tool.call(source, asked.arguments or {})
        except QuartOddsError as error:
            log.debug("mcp.tool_failed", tool=tool.name, reason=error.for_operator)
            return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)
        except Exception:
            log.exception("mcp.tool_broke", tool=tool.name)
            raise
        text = TextContent(type="text", text=orjson.dumps(answer).decode())
        return CallToolResult(content=[text], structured_content=answer)

    return Server(
        "quart-odds",
        version=__version__,
        title="Quart Odds",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )

"""`/opportunities`: what can be gained between bookmakers now, what is listed apart, and what is over."""

from urllib.parse import urlencode

from pydantic import Field, model_validator
from quart import Blueprint, Response
from quart_schema import hide

from quart_odds.broadcast import broadcast_registry
from quart_odds.domain.opportunities import KINDS
from quart_odds.odds.past_opportunities import PastFilter
from quart_odds.routes.api.opportunities import OpportunitiesQuery, opportunities_now
from quart_odds.routes.api.query import Bookmakers
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.pages.opportunity_view import MEANINGS, shown, shown_past
from quart_odds.routes.pages.shell import page
from quart_odds.routes.pages.views import frame, trouble
from quart_odds.services import services

APART_SHOWN = 5
"""How many of those that are listed apart are below the list. There is a page of all of them."""

blueprint = Blueprint("opportunity_pages", __name__)
blueprint.register_error_handler(Exception, trouble)


class OpportunitiesPageQuery(OpportunitiesQuery):
    """What the page shows. Fields of its form that are left empty are as if they were not there."""

    page_size: int = Field(default=25, ge=1, le=100)
    bookmakers: Bookmakers = Field(default=[])
    past: bool = False

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in given.items() if value != ""}

    def address(self, **changes: object) -> str:
        """Return the address of the page, below the root, with these changes; on the first page unless they say so."""
        asked = {**self.model_dump(mode="json", exclude_defaults=True), "page": 1, **changes}
        if chosen := asked.pop("bookmakers", None):
            asked["bookmakers"] = ",".join(chosen)
        kept = {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in asked.items()
            if value != type(self).model_fields[name].default
        }
        return "/opportunities" + (f"?{urlencode(kept, safe=',')}" if kept else "")

    @property
    def is_narrow(self) -> bool:
        """Whether there are filters that could be taken away."""
        return bool(self.bookmakers or self.min_margin or self.max_age_seconds is not None)

    @property
    def export(self) -> str:
        """The address of an export of what the page shows, of all its pages, below the root."""
        asked: dict[str, object] = {"kind": "opportunities", "suspicious": str(self.suspicious).lower()}
        if self.kind != "all":
            asked["opportunity"] = self.kind
        if self.bookmakers:
            asked["bookmakers"] = ",".join(self.bookmakers)
        if self.include_started:
            asked["include_started"] = "true"
        for name in ("min_margin", "max_age_seconds"):
            if (value := getattr(self, name)) is not None:
                asked[name] = value
        return f"/api/export?{urlencode(asked, safe=',')}"


@blueprint.get("/opportunities")
@hide
@takes_query(OpportunitiesPageQuery)
async def opportunities(query: OpportunitiesPageQuery) -> Response:
    """Show a page of opportunities of a kind: those of now, those that are listed apart, or those that are over."""
    log = broadcast_registry.log
    cursor = log.cursor_at(log.next_seq)
    values = await (_over(query) if query.past else _now(query))
    pages = max(1, -(-int(str(values["total"])) // query.page_size))
    framed = frame(cursor, "opportunities", ",".join(query.bookmakers))
    used = services().bookmakers()
    about = {"query": query, "pages": pages, "kinds": (*KINDS, "all"), "meaning": MEANINGS[query.kind], "used": used}
    return await page("opportunities.html", {**framed, **about, **values})


async def _now(query: OpportunitiesPageQuery) -> dict[str, object]:
    now = await opportunities_now(query)
    # No await below: everything is of one moment. The template gives the loop its turns.
    # What is old and allowed to be is among the others, and not apart as well.
    clean = {id(track) for track in now.clean}
    apart = [track for track in now.apart if id(track) not in clean]
    listed = apart if query.suspicious else now.clean
    return {
        "found": [shown(track, query, is_apart=query.suspicious) for track in query.cut(listed)],
        "total": len(listed),
        "apart": [] if query.suspicious else [shown(track, query, is_apart=True) for track in apart[:APART_SHOWN]],
        "clean_count": len(now.clean),
        "apart_count": len(apart),
        "are_old": bool(apart) and all("stale" in track.opportunity.reasons for track in apart),
        "left_out": now.left_out,
        "has_odds": bool(services().served.cache.events),
        "stale_after": round(services().event_bodies.stale_after.total_seconds()),
    }


async def _over(query: OpportunitiesPageQuery) -> dict[str, object]:
    wanted = PastFilter(None if query.kind == "all" else query.kind, min_margin=query.min_margin)
    past, total = await services().store.list_past_opportunities(
        wanted, limit=query.page_size, offset=(query.page - 1) * query.page_size
    )
    return {"found": [shown_past(each) for each in past], "total": total}

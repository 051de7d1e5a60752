/** Keys on every page: to the search, from row to row, and a list of them. Never while the reader types. */
import { all, byId } from "./page.js";
import { reader } from "./reader.js";

const ROWS = "main :is(.rows .r, tbody tr, [data-row]):has(a, button)";
const list = byId("key-list");

/** The row `way` rows from the one that has the focus, or else the first one in sight. */
function rowAt(way) {
	const rows = all(ROWS).filter((row) => row.checkVisibility());
	const here = rows.indexOf(document.activeElement.closest(ROWS));
	return here < 0 ? rows.find((row) => row.getBoundingClientRect().bottom > 0) : rows[here + way];
}

function targetOf(key, isInRows) {
	if (key === "/") return all("input[type=search]").find((field) => field.checkVisibility());
	const way = { j: 1, k: -1, ArrowDown: isInRows && 1, ArrowUp: isInRows && -1 }[key];
	return way && rowAt(way)?.querySelector("a, button");
}

document.addEventListener("keydown", (event) => {
	const { key, target } = event;
	if (event.altKey || event.ctrlKey || event.metaKey || list.open || target.matches("input:not([type=checkbox]), select, textarea")) return;
	if (reader.keys && !key.startsWith("Arrow")) return;
	const next = targetOf(key, target.closest(".rows .r"));
	if (key !== "?" && !next) return;
	event.preventDefault();
	if (next) next.focus();
	else list.showModal();
});
byId("list-keys").addEventListener("click", () => list.showModal());

/** The live list of runs: counts of the active run, a new list whenever a run begins or ends, and who is connected. */
import { byId, connect, load, localise, number, paced, setText } from "./page.js";

const live = connect(["scrape_progress"]);
const renew = paced(async () => {
	const found = (await load(location.href))?.getElementById("runs");
	if (!found) return;
	localise(found);
	byId("runs").replaceWith(found);
}, 1000);

live.addEventListener("scrape_progress", ({ detail: { data } }) => {
	const { platform, phase, current, events_count: got } = data;
	const { mode } = byId("runs").dataset;
	if (platform !== null || (mode !== "all" && mode !== data.mode)) return;
	const row = byId(`r${data.scrape_run_id}`);
	if (!row || phase === "completed" || phase === "failed") return renew();
	if (row.dataset.status !== "running") return;
	setText(row.children[4], number(got ?? current));
	setText(row.children[5], number(current - (got ?? current)));
});
live.addEventListener("gap", renew);

setInterval(async () => {
	const found = document.hidden ? null : (await load("runs/connected"))?.getElementById("connected");
	if (found) byId("connected").replaceWith(found);
}, 5000);

/** A price over time at each bookmaker, drawn in steps: odds stay until they change. */
import { BOOKMAKERS } from "./bookmakers.js";
import { clockOf, momentOf } from "./page.js";
import { made, wordsOf } from "./prices.js";

const NS = "http://www.w3.org/2000/svg";
const [HEIGHT, TOP, BOTTOM, LEFT, RIGHT] = [230, 10, 24, 44, 34];
const TAG = 13; // height of a bookmaker's letters

const MARKS = Object.fromEntries(BOOKMAKERS.map(({ slug, letters }) => [slug, letters]));
const say = ({ odds, promotion }) => (promotion ? `${odds}, ${wordsOf(promotion)},` : odds);

function shape(name, attributes, text) {
	const made = document.createElementNS(NS, name);
	for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
	if (text !== undefined) made.textContent = text;
	return made;
}

export function drawChart(place, history, outcome) {
	const lines = history.bookmakers.map((line) => ({
		...line,
		points: line.history.map((point) => {
			const found = point.outcomes.find((each) => each.name === outcome);
			return { at: Date.parse(point.captured_at), odds: found && found.is_active && point.available ? found.odds : null, promotion: found?.promotion };
		}),
	}));
	const all = lines.flatMap((line) => line.points);
	const odds = all.flatMap((point) => (point.odds === null ? [] : [point.odds]));
	if (!odds.length) return place.replaceChildren(made("p", { className: "none" }, "No bookmaker has offered a price for this."));
	const width = Math.max(280, place.clientWidth);
	const [from, till] = range(all.map((point) => point.at), 10_000);
	const [low, high] = range(odds, 0.1);
	const x = (at) => LEFT + ((at - from) / (till - from)) * (width - LEFT - RIGHT);
	const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
	const summary = lines.map((line) => {
		const last = [...line.points].reverse().find((point) => point.odds !== null);
		return `${line.bookmaker_name} ${last ? say(last) : "none"}`;
	});
	const name = `${history.market_name} ${history.line ?? ""} ${outcome}`.replace(/\s+/g, " ");
	const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${name} over time; now ${summary.join(", ")}. The table below lists every change.` });
	for (let step = 0; step <= 4; step++) {
		const value = low + ((high - low) * step) / 4;
		svg.append(shape("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), shape("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(2)));
	}
	const label = till - from > 86_400_000 ? momentOf : clockOf;
	const ends = width > 500 ? [from, (from + till) / 2, till] : [from, till];
	ends.forEach((at, index) => svg.append(shape("text", { x: x(at), y: HEIGHT - 4, "text-anchor": index === 0 ? "start" : index === ends.length - 1 ? "end" : "middle" }, label(new Date(at)))));
	const tags = [];
	for (const line of lines) {
		svg.append(shape("path", { class: `line ${line.bookmaker_slug}`, d: path(line.points, x, y) }));
		for (const point of line.points) {
			if (point.odds === null) continue;
			const dot = shape("circle", { class: `hit ${line.bookmaker_slug}${point.promotion ? " promoted" : ""}`, cx: x(point.at), cy: y(point.odds), r: point.promotion ? 4 : 2.5 });
			dot.append(shape("title", {}, `${line.bookmaker_name} ${say(point)} at ${momentOf(new Date(point.at))}`));
			svg.append(dot);
		}
		const last = line.points.at(-1);
		if (last?.odds == null) continue;
		tags.push({ y: y(last.odds) + 4, slug: line.bookmaker_slug, text: MARKS[line.bookmaker_slug] ?? line.bookmaker_name });
	}
	for (const { y, slug, text } of apart(tags)) svg.append(shape("text", { class: `tag ${slug}`, x: width - RIGHT + 8, y }, text));
	place.replaceChildren(svg);
}

/** Tags that would overlap, spread around their middle, from the top down. */
function apart(tags) {
	const groups = [];
	const middle = (group) => group.reduce((sum, tag) => sum + tag.y, 0) / group.length;
	const half = (group) => (group.length * TAG) / 2;
	for (const tag of [...tags].sort((one, other) => one.y - other.y)) {
		let group = [tag];
		for (let above; (above = groups.at(-1)) && middle(above) + half(above) > middle(group) - half(group); groups.pop()) group = [...above, ...group];
		groups.push(group);
	}
	return groups.flatMap((group) => group.map((tag, place) => ({ ...tag, y: middle(group) + (place + 0.5) * TAG - half(group) })));
}

function range(values, least) {
	const [low, high] = [Math.min(...values), Math.max(...values)];
	const room = Math.max(0, least - (high - low)) / 2;
	return [low - room, high + room];
}

function path(points, x, y) {
	let d = "";
	let before = null;
	for (const { at, odds } of points) {
		if (before !== null) d += `H${x(at).toFixed(1)}`;
		if (odds !== null) d += before === null ? `M${x(at).toFixed(1)} ${y(odds).toFixed(1)}` : `V${y(odds).toFixed(1)}`;
		before = odds;
	}
	return d;
}

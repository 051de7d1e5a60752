/**
 * Keeps a page current that the server renders. It is fetched again when something in it has changed, and what differs
 * is replaced. The page names its parts by `data-region`, each with an id, and by `data-topics` on the first of them the
 * topics whose messages tell of changes, with `data-pace` the least time between two changes, in ms.
 */
import { all, connect, load, localise, paced, tickAges } from "./page.js";

const LEAST_MS = 1500; // between two fetches, unless the page says `data-pace`
const MOST_MS = 30_000; // some changes are not announced; `data-every` for another time

const keyOf = (node) => node.id || node.dataset?.key;

/** Make `old` like `fresh`. Elements that stay keep the focus, their scroll position, and what the reader opened or typed. */
function morph(old, fresh) {
	if (old.isEqualNode(fresh)) return;
	if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || keyOf(old) !== keyOf(fresh)) return void old.replaceWith(fresh);
	if (old.nodeType !== Node.ELEMENT_NODE) return void (old.data = fresh.data);
	for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
	for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
	const kept = new Map(all(":scope > *", old).filter(keyOf).map((each) => [keyOf(each), each]));
	let place = old.firstChild;
	for (const each of [...fresh.childNodes]) {
		const here = keyOf(each) ? kept.get(keyOf(each)) : place && !keyOf(place) && place.nodeName === each.nodeName ? place : null;
		if (!here) old.insertBefore(each, place);
		else {
			if (here === place) place = place.nextSibling;
			else old.insertBefore(here, place);
			morph(here, each);
		}
	}
	while (place) {
		const next = place.nextSibling;
		place.remove();
		place = next;
	}
}

/** Whether the reader is filling in something in this part, which must not be taken away. */
const isInUse = (part) => part.contains(document.activeElement) && document.activeElement.matches("input:not([type=checkbox]), select, textarea");

/** Fetch the page again, and show what differs. */
async function renew() {
	const found = document.hidden ? null : await load(location.href);
	if (!found) return;
	localise(found);
	tickAges([found]);
	for (const part of all("[data-region]")) {
		const fresh = found.getElementById(part.id);
		if (fresh && !isInUse(part)) morph(part, fresh);
	}
}

const first = document.querySelector("[data-topics]");
const live = connect(first?.dataset.topics.split(",") ?? ["scrape_progress"]);
const soon = paced(renew, Number(first?.dataset.pace ?? LEAST_MS));
live.addEventListener("message", ({ detail: { type, id } }) => id && type !== "connection_ack" && soon());
live.addEventListener("gap", soon);
document.addEventListener("visibilitychange", soon);
setInterval(soon, Number(first?.dataset.every ?? MOST_MS));

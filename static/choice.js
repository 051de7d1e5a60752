/** Before anything is painted: opens the page with the bookmakers chosen last in this browser, if its address names none. */
{
	const url = new URL(location);
	const all = document.currentScript.dataset.bookmakers.split(",");
	let kept = null;
	try {
		kept = localStorage.getItem("bookmakers");
	} catch {} // the browser keeps nothing for this site
	// One that is no longer installed would be refused.
	const chosen = kept?.split(",").filter((slug) => all.includes(slug)) ?? [];
	if (chosen.length && !url.searchParams.has("bookmakers")) {
		url.search += `${url.search ? "&" : "?"}bookmakers=${chosen}`;
		document.documentElement.hidden = true;
		location.replace(url);
	}
}

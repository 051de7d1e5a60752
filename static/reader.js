/** What the reader prefers, kept in this browser: the form of odds, the time zone, and whether single keys are used. */

/** Empty for the default: decimal, the browser's zone, and with keys. @type {Record<string, string>} */
export const reader = { odds: "", zone: "", keys: "" };

for (const name in reader) {
	try {
		reader[name] = localStorage.getItem(`reader-${name}`) ?? "";
	} catch {} // the browser keeps nothing for this site
}
try {
	new Intl.DateTimeFormat("en", { timeZone: reader.zone || "UTC" });
} catch {
	reader.zone = ""; // a zone that this browser does not know
}

export function prefer(name, value) {
	reader[name] = value;
	try {
		localStorage.setItem(`reader-${name}`, value);
	} catch {} // it holds until the page is left
}

const divisor = (a, b) => (b ? divisor(b, a % b) : a);

/** Odds as the reader likes them. Fractions are exact, in lowest terms; American odds are rounded to a whole number. */
export function oddsText(odds) {
	const profit = Math.round(odds * 1000) - 1000;
	if (profit > 0 && reader.odds === "fractional") {
		const most = divisor(profit, 1000);
		return `${profit / most}/${1000 / most}`;
	}
	if (profit > 0 && reader.odds === "american") return profit < 1000 ? `-${Math.round(100_000 / profit)}` : `+${Math.round(profit / 10)}`;
	return odds.toFixed(3).replace(/0$/, "");
}

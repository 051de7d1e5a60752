"""One table of figures: a line per server and kind of work, with ratios to ours."""

import statistics

import click

Medians = dict[str, dict[str, dict[str, float]]]

HEADS = ("work", "server", "deliveries/s", "CPU µs each", "p50 ms", "p99 ms", "memory", "compared with ours")


def medians_of(found: dict[str, dict[str, list[dict[str, float]]]]) -> Medians:
    """Return the median of each figure of each server on each row. A figure that a run lacks counts as 0."""
    return {
        row: {
            name: {key: statistics.median(each.get(key, 0.0) for each in several) for key in several[0]}
            for name, several in servers.items()
        }
        for row, servers in found.items()
    }


def print_table(rows: dict[str, str], servers: dict[str, str], medians: Medians, *, markdown: bool) -> None:
    """Print the measurements in the order of `rows` and `servers`; both map names to titles."""
    lines = [HEADS]
    for row, title in rows.items():
        found = medians.get(row, {})
        lines += [
            (title, servers[name], *_cells(found[name]), _ratio(found[name], found.get("ours")))
            for name in servers
            if name in found
        ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    for number, line in enumerate(lines):
        cells = [_aligned(cell, width, column) for column, (cell, width) in enumerate(zip(line, widths, strict=True))]
        click.echo(f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip())
        if markdown and number == 0:
            click.echo(
                "| "
                + " | ".join("-" * (width - 1) + ("-" if column < 2 else ":") for column, width in enumerate(widths))
                + " |"
            )


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)


def _cells(figures: dict[str, float]) -> tuple[str, str, str, str, str]:
    if "kb_a_connection" in figures:
        kernel = f"{figures['kernel_kb_a_connection']:.1f} KB"
        return (
            f"{figures['clients']:,.0f} idle",
            "",
            "",
            "",
            f"{figures['kb_a_connection']:.1f} KB each, kernel {kernel}",
        )
    if "gone_s" in figures:
        return (
            f"{figures['told']:.0f} of {figures['clients']:.0f} notified",
            "",
            "",
            "",
            f"gone in {figures['gone_s']:.2f} s",
        )
    memory = f"{figures['rss_kb'] / 1024:.0f} MB"
    if figures["stalled"]:
        each = figures["stalled"]
        memory += f", {figures['stalled_told']:.0f}+{figures['stalled_closed']:.0f} of {each:.0f} notified, closed"
    lost = f" ({figures['lost']:,.0f} lost)" if figures.get("lost") else ""
    return (
        f"{figures['per_s']:,.0f}{lost}",
        f"{figures['cpu_us_per_delivery']:.2f}",
        f"{figures['latency_p50_ms']:.1f}",
        f"{figures['latency_p99_ms']:.1f}",
        memory,
    )


def _ratio(figures: dict[str, float], ours: dict[str, float] | None) -> str:
    """Compare ours with this server: the ratio of deliveries, and the share of CPU."""
    if ours is None or ours is figures:
        return ""
    if "kb_a_connection" in figures:
        return f"ours {ours['kb_a_connection'] / figures['kb_a_connection']:.2f} × the memory"
    if "gone_s" in figures or not figures["per_s"] or not figures["cpu_us_per_delivery"]:
        return ""
    speed = ours["per_s"] / figures["per_s"]
    return f"ours {speed:.1f} × as fast, {ours['cpu_us_per_delivery'] / figures['cpu_us_per_delivery']:.2f} × the CPU"

"""What a result says of base's noise profile, in one line for :mod:`console.terminal` and :mod:`console.page_parts`. Pure."""

from __future__ import annotations

from console import words


def profile_line(result: words.Result) -> str:
    """What was used of base's noise profile, or why none was; empty where none is kept."""
    found = words.section(result, "profile")
    if not found:
        return ""
    if unused := words.text(found, "unused"):
        return f"no profile was used: {unused}"
    version, age = words.text(found, "version"), found.get("age_days")
    parts = [
        f"profile of base {version}" if version else "profile of base, whose version has no name",
        f"{words.count(int(found.get('places') or 0), 'noisy place')} from {words.count(int(found.get('runs') or 0), 'run')}",
        *([f"{float(age):.1f} days old"] if isinstance(age, int | float) else []),
        *(
            f"{what} {words.count(int(found.get(key) or 0), noun)}"
            for key, what, noun in (
                ("stood_in", "in place of base's control at", "endpoint"),
                ("weighed", "had a say at", "place"),
            )
            if found.get(key)
        ),
    ]
    return ", ".join(parts)

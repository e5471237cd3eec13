"""What the table says of itself: units, eval sets, counts that contradict each other."""

import re

import numpy as np

from scalinglab.review.context import Context
from scalinglab.review.finding import Finding, listed

_BITS = re.compile(r"\bbits?\b|\bbp[btc]\b|\bsh\b", re.IGNORECASE)
ROUNDED = 0.005
"""Share by which figures that should be equal may differ: three printed digits."""


def eval_sets(context: Context) -> list[Finding]:
    """Several eval sets: one is reviewed, the others left out."""
    sets = context.words("eval_set")
    known = [name for name in dict.fromkeys(sets) if name]
    if len(known) < 2:
        return []
    counts = {name: int((sets == name).sum()) for name in known}
    chosen = "average" if "average" in counts else max(counts, key=lambda name: counts[name])
    return [
        context.finding(
            "eval-sets",
            "note",
            says=f"{len(known)} eval sets ({listed(known)}); this review is of {chosen!r}",
            number=float(len(known)),
            of="eval sets",
            meaning="Each eval set has a law of its own; a fit takes one and refuses several.",
            mend=f"fit with eval_set={chosen!r}, or all of them with fit_groups(…, by='eval_set').",
            aside=np.flatnonzero(sets != chosen),
        )
    ]


def loss_units(context: Context) -> list[Finding]:
    """Losses labelled in bits, or in several units."""
    found = []
    units = context.words("loss_unit")
    rows = context.rows
    bits = np.array([i for i in rows if _BITS.search(units[i])], dtype=int)
    if len(bits):
        part = len(bits) < len(rows)
        found.append(
            context.finding(
                "bits-labelled",
                "error",
                () if not part else bits,
                says=f"{len(bits)} of {len(rows)} losses are labelled {units[bits[0]]!r}",
                number=len(bits) / len(rows),
                of="share of the rows",
                meaning="E, A and B come out 1.44 times too large, and losses of other tables cannot be compared."
                if not part
                else "Rows in two units do not follow one law.",
                mend="multiply these losses by ln 2 = 0.6931 and label them nats.",
                aside=bits if part and len(bits) <= len(rows) / 2 else (),
            )
        )
    kinds = [unit for unit in dict.fromkeys(units[rows]) if not _BITS.search(unit)]
    if len(kinds) > 1:
        counts = {unit: int((units[rows] == unit).sum()) for unit in kinds}
        most = max(counts, key=lambda unit: counts[unit])
        others = [i for i in rows if units[i] != most and i not in set(bits)]
        found.append(
            context.finding(
                "loss-units",
                "error",
                others,
                says=f"losses in {listed([unit or 'a unit that is not told' for unit in kinds])}",
                number=float(len(kinds)),
                of="units",
                meaning="A loss per byte is a fraction of a loss per token: one law cannot hold for both.",
                mend="convert with the tokeniser's bytes per token, or keep the rows of one unit.",
                aside=others,
            )
        )
    return found


def perplexity(context: Context) -> list[Finding]:
    """A perplexity beside the loss tells its base: e for nats, 2 for bits."""
    name = next((c for c in ("perplexity", "ppl", "val_ppl") if c in context.runs), None)
    if name is None:
        return []
    rows = context.rows
    with np.errstate(all="ignore"):
        nats = np.log(context.numbers(name)[rows]) / context.numbers("loss")[rows]
    bits = rows[np.abs(nats / np.log(2) - 1) < ROUNDED]
    if not len(bits):
        return []
    return [
        context.finding(
            "bits-for-nats",
            "error",
            bits if len(bits) < len(rows) else (),
            says=f"the loss is log2 of {name} in {len(bits)} of {len(rows)} rows, so it is in bits",
            number=float(np.median(nats[np.abs(nats / np.log(2) - 1) < ROUNDED])),
            of=f"ln({name}) / loss: 1 in nats, 0.693 in bits",
            meaning="E, A and B come out 1.44 times too large.",
            mend="multiply these losses by ln 2 = 0.6931.",
            aside=bits if len(bits) <= len(rows) / 2 else (),
        )
    ]


def counts_agree(context: Context) -> list[Finding]:
    """params beside params_total and flops_6nd: which of them a row counts."""
    rows = context.rows
    n, d = context.numbers("params")[rows], context.numbers("tokens")[rows]
    total, flops = context.numbers("params_total")[rows], context.numbers("flops_6nd")[rows]
    found = []
    with np.errstate(invalid="ignore"):
        above = rows[n > total * (1 + ROUNDED)]
        same = rows[np.abs(n / total - 1) < 1e-6]
        off = rows[np.abs(flops / (6 * n * d) - 1) > 2 * ROUNDED]
    if len(above):
        found.append(
            context.finding(
                "params-above-total",
                "error",
                above,
                says=f"params is larger than params_total in {len(above)} rows",
                number=float(np.nanmax(n / total)),
                of="largest params / params_total",
                meaning="A part cannot exceed the whole: one of the two columns holds something else.",
                mend="see whether params and params_total, or params and tokens, are swapped.",
            )
        )
    known = int(np.isfinite(total).sum())
    if len(same):
        mixed = len(same) < known
        found.append(
            context.finding(
                "total-params",
                "warning" if mixed else "note",
                same if mixed else (),
                says=f"params equals params_total in {len(same)} of {known} rows: embeddings are counted there",
                number=len(same) / known,
                of="share of the rows",
                meaning="Small models are mostly embedding, so α and the optimal N shift with the count; two counts in "
                "one table bend the law.",
                mend="put non-embedding parameters in params in every row, and all of them in params_total.",
            )
        )
    if len(off):
        ratio = float(np.median((flops / (6 * n * d))[np.isin(rows, off)]))
        found.append(
            context.finding(
                "flops-disagree",
                "warning",
                off if len(off) < len(rows) else (),
                says=f"flops_6nd is not 6·params·tokens in {len(off)} of {len(rows)} rows (median ratio {ratio:.3g})",
                number=ratio,
                of="flops_6nd / (6·params·tokens)",
                meaning="N or D count something else than the FLOPs do: total for non-embedding parameters, or another "
                "scale.",
                mend="see which of params, tokens and flops_6nd is meant; a fit uses the first two alone.",
            )
        )
    return found

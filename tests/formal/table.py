"""The table of docs/proofs.md: what is proved, how far, and in how many seconds.

    python tests/formal/table.py

runs every proof with pytest and writes the table between the page's two lines of marks.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "proofs.md"
BEGIN, END = "<!-- made by tests/formal/table.py -->\n", "<!-- end -->\n"
CALL = re.compile(r"([\d.]+)s call +tests/formal/(test_\w+)\.py::(test_\w+)")
FOR_EVER, COMPLETE = "inductive", "complete"
PROOFS = {      # test: block, property, strength
    "test_receiver_holds_its_byte": (
        "`UartRx`", "a byte stays until it is taken; timer and bit in range", FOR_EVER),
    "test_sender_counts_in_range_and_rests_high": (
        "`UartTx`", "the idle line is high; timer and bits left in range", FOR_EVER),
    "test_byte_comes_out_as_it_went_in": (
        "`UartTx` → `UartRx`", "a byte that was taken is shown, once and whole, and stays until it "
        "is taken; no break", FOR_EVER),
    "test_framer_holds_its_streams": (
        "`Framer`", "its three streams hold; no result is taken that is not there", FOR_EVER),
    "test_frames_are_as_long_as_they_say": (
        "`Framer`", "frames have the bytes that `frames` says, and END behind them", FOR_EVER),
    "test_counts_in_range": (
        "`Inputs`", "beats, list entries, lines and columns in range", FOR_EVER),
    "test_row_reads_as_last_written": (
        "`WeightMemory`", "a loaded row reads as it was last written; `loaded` only with all "
        "rows there", FOR_EVER),
    "test_best_of_all_scores": (
        "`Argmax`", "the highest score so far, the lowest class on a tie", FOR_EVER),
    "test_answer_stays_until_taken": (
        "`Argmax`", "the result holds", FOR_EVER),
    "test_margin_is_that_of_the_next_best": (
        "`Argmax` with a margin", "settled only if it leads every other class so far",
        "bounded, 7 to 11 clocks"),
    "test_unit_is_its_equation": (
        "`NeuronUnit`, 3-bit membranes, with pools, synapses and clamps too", "spike, u', i' and "
        "the pooled current are the equation's, where sums have the bits proved of them", COMPLETE),
    "test_no_word_is_lost": (
        "`SpikeMemory`, 2 and 4 banks", "a word is written before the bank's next one", FOR_EVER),
    "test_line_reads_as_last_sent": (
        "`SpikeMemory`", "a line reads as it was last sent", "bounded, 12 clocks"),
    "test_each_spike_is_an_event": (
        "`Reader`", "each spike of any one word is an event of each plane, lowest first, with its "
        "weight row; the transfer behind them; quiet only without a word", FOR_EVER),
    "test_requests_are_in_range": (
        "`Walker`", "addresses, weight rows and lines of jobs in range", "bounded, 36 clocks"),
    "test_every_sample_has_its_answer_in_time": (
        "`SpikingCore`, 2-2-2", "every sample has the golden model's answer within the worst case, "
        "which stays until taken, whatever a read returns that meets a write",
        "bounded to the first sample; complete over samples, beats up "
        "to 2 clocks late, and when the answer is taken"),
}


def seconds():
    """Seconds of each test's slowest case, by its name."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--durations=0", "-vv", "tests/formal"],
        cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:])
    longest = {}
    for taken, _, test in CALL.findall(done.stdout):
        longest[test] = max(longest.get(test, 0.0), float(taken))
    return longest


def main():
    longest = seconds()
    rows = ["| block | property | strength | seconds |", "|---|---|---|---|"]
    rows += [f"| {block} | {fact} | {strength} | {longest[test]:.1f} |"
             for test, (block, fact, strength) in PROOFS.items()]
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n".join(rows) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()

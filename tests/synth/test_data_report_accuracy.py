"""How often the root and the noun of a question are found: against labels that were written by hand.

200 different questions of the odd rows of two files: of one that GPT-4 wrote, and of the official mix, whose
questions are mostly people's. The word lists were made with the even rows. The first hundred was drawn before
the lists were written, the second after they were finished, and nothing was changed for it. A label is
"row.turn root noun"; the questions themselves stay in their files.
"""

import json
from pathlib import Path

import pytest

from llavakit.synth.report.phrases import asked, root_and_noun, tokens

PUBLIC = Path(__file__).resolve().parents[3] / "shared" / "data" / "instruct"

FIRST = {
    "coco2014_val_gpt4_qa_90_llava_style": """
1.0 elaborate element; 3.0 what focus; 5.0 what reason; 7.0 analyze image; 9.0 what cat; 11.0 what factor;
13.0 what photo; 15.0 where cart; 17.0 what challenge; 21.0 is person; 23.0 what challenge; 33.0 how-many
giraffe; 35.0 why giraffe; 39.0 what object; 41.0 imagine street; 45.0 what object; 47.0 what purpose;
49.0 what element; 53.0 what factor; 57.0 how-many doughnut; 59.0 what combination; 63.0 what breed; 65.0
what measure; 71.0 how man; 75.0 what clothing; 77.0 what occasion; 81.0 how-many person; 83.0 what
reason; 87.0 what object; 89.0 how installation""",
    "llava_v1_5_mix1k": """
1.2 is dog; 47.3 what surface; 69.3 which side; 123.1 is man; 145.0 what relationship; 151.1 is snowboard;
153.6 would clothing; 153.11 what direction; 155.2 how weather; 157.9 is batter; 165.15 what wall; 177.1
what building; 177.4 why giraffe; 185.2 how-many zebra; 191.20 is plate; 191.32 what food; 193.2 is dog;
199.1 is guy; 201.17 which side; 205.3 who motorcycle; 227.3 is clock; 239.1 is chair; 239.39 is dog;
249.1 is sport; 271.5 is kid; 319.3 what significance; 327.0 what design; 405.11 is bag; 411.0 who
skateboard; 415.0 is weather; 437.0 what concern; 443.4 how-many person; 457.3 do sign; 467.2 is hair;
481.0 how traffic; 491.3 which material; 533.0 what risk; 545.0 what furniture; 545.23 which furniture;
557.24 is blanket; 589.0 what color; 601.19 which side; 627.30 is refrigerator; 663.9 what brand; 679.12
what color; 687.0 what color; 727.0 is drawer; 727.10 which side; 727.14 what wall; 727.25 how sink;
739.14 what toilet; 739.25 how sink; 783.0 what relationship; 793.1 what day; 813.4 what object; 831.0
where photo; 833.3 which vehicle; 847.12 which side; 863.1 what material; 891.0 how atmosphere; 899.0 who
sheet; 899.7 is child; 919.2 what presence; 919.3 why idea; 931.0 what item; 955.1 where snow; 983.21
which food; 983.27 which food; 983.30 what vegetable; 983.38 what food""",
}
SECOND = {
    "coco2014_val_gpt4_qa_90_llava_style": """
25.0 what image; 27.0 what man; 29.0 why man; 51.0 what color""",
    "llava_v1_5_mix1k": """
7.0 who author; 41.0 what zebra; 69.1 what person; 69.16 which color; 75.0 explain content; 113.1 what
relation; 125.3 is book; 127.0 what plant; 153.10 what sign; 155.9 which side; 157.1 what man; 157.4 what
color; 159.0 what payment; 161.0 is bag; 165.1 is table; 165.11 do canopy; 165.26 what pole; 185.0 do
animal; 185.6 what animal; 185.7 how-many zebra; 191.6 which dessert; 201.3 is duck; 201.19 what toy;
201.23 which toy; 239.3 do nightstand; 239.25 is child; 245.0 what girl; 249.0 what game; 257.0 what
sauce; 271.0 is ball; 271.6 where photo; 283.4 what emotion; 315.0 is stove; 323.8 what rope; 329.4 is
plate; 373.0 what challenge; 379.0 what store; 399.4 is book; 405.3 which side; 405.10 is person; 411.2
where boy; 455.2 is person; 467.7 which side; 479.9 what vehicle; 487.0 is -; 529.1 is outlet; 537.4 do
pillar; 545.1 what furniture; 545.6 do table; 557.16 what plant; 565.2 which side; 601.16 who control;
601.26 do control; 623.12 which part; 623.16 what wall; 661.6 what shadow; 663.4 is woman; 665.4 is goat;
687.7 is screen; 711.1 how-many window; 711.5 do clock; 711.7 why woman; 727.2 is sink; 727.32 what
container; 729.8 is racket; 729.11 is shorts; 737.0 what reason; 739.6 is toilet; 739.12 what basket;
773.4 what owner; 779.1 do bed; 793.3 describe setting; 799.4 do leaf; 799.6 what place; 831.6 what
animal; 833.0 is airplane; 833.9 what color; 833.13 which color; 833.18 what mountain; 837.1 where table;
847.7 what color; 847.17 which device; 851.3 what clothing; 885.0 who glove; 899.4 what woman; 911.2 what
pizza; 923.27 is family; 927.4 what food; 927.8 what mat; 937.1 which side; 937.10 do shirt; 947.0 what
food; 983.31 is lettuce; 983.40 what good; 985.5 how animal; 997.2 is image""",
}


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the official files are not here")
@pytest.mark.parametrize(("labels", "measured"), [(FIRST, (100, 98)), (SECOND, (100, 96))])
def test_roots_and_nouns_of_a_hundred_questions(labels: dict[str, str], measured: tuple[int, int]) -> None:
    roots = nouns = 0
    for name, told in labels.items():
        rows = json.loads((PUBLIC / f"{name}.json").read_text())
        for label in told.split(";"):
            place, root, noun = label.split()
            row, turn = map(int, place.split("."))
            question = rows[row]["conversations"][2 * turn]["value"].replace("<image>", "").strip()
            found = root_and_noun(tokens(asked(question)[0]))
            roots += found[0] == root.replace("-", " ")
            nouns += found[1] == noun.strip("-")
    assert roots >= measured[0]
    assert nouns >= measured[1]

"""Names that the config, tables and figures share."""

#: Parts of a dataset, each with subjects of its own.
SPLITS = ("train", "validation", "test")
#: What references are called where models have their names.
REFERENCE = "reference"
#: Files and folders beside those of datasets, in `results/` and `private/`: no dataset can be called so.
RESERVED = ("benchmarks", "salt")
#: Sources whose subjects are people, by numbers that those who have the data know them by.
PEOPLE = ("hcp", "neurovault")
#: What the set of the conditions that a config lists is called, beside `all` and `no_negated`.
CHOSEN = "chosen"
#: Condition set that figures show first, by what the config calls it.
HEADLINES = {"table1": "all", "no_negated": "no_negated"}
#: Ending of a criterion whose maps and truth are compared without their signs.
ABSOLUTE = "_absolute"
#: Options that are a training method's strength, the first that it has: of several candidates the largest
#: is chosen that costs no accuracy. All other lists are chosen by validation likelihood.
STRENGTHS = ("strength", "epsilon")
#: How the reasons begin for r that are null by design: they are not counted as missing.
LEFT_OUT, NOT_IN_SET = "left out: ", "not in this set of conditions: "
BY_DESIGN = (LEFT_OUT, NOT_IN_SET)

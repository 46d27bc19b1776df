"""Names that the config, tables and figures share."""

#: What references are called where models have their names.
REFERENCE = "reference"
#: Ending of a criterion whose maps and truth are compared without their signs.
ABSOLUTE = "_absolute"
#: Options that are a training method's strength, the first that it has: of several candidates the largest
#: is chosen that costs no accuracy. All other lists are chosen by validation likelihood.
STRENGTHS = ("strength", "epsilon")

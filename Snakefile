# truemap: how true are the saliency maps of your brain decoder?
import os


report: "workflow/report/workflow.rst"


configfile: os.path.relpath(os.path.join(str(workflow.current_basedir), "config/config.yaml"))


include: "workflow/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/explain.smk"
include: "workflow/rules/report.smk"


# On a cluster these run where Snakemake runs: each takes a second or few, less than a queue slot costs.
localrules:
    all,
    samples,
    grid,
    words,
    statistics,
    figure_1,
    figure_2,
    figure_3,
    figure_grid,
    figure_strength,
    claims,
    resources,


rule all:
    default_target: True
    input:
        rules.claims.output.html,
        rules.resources.output.tsv,
        plan.all("words", rules.words.output[0]),
        plan.all("quality", rules.quality.output.html),
        figures,
        plan.all("statistics", rules.statistics.output.summary_tsv, rules.statistics.output.comparisons_tsv),


include: "workflow/start.smk"

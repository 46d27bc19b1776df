# truemap: how true are the saliency maps of your brain decoder?


report: "workflow/report/workflow.rst"


configfile: "config/config.yaml"


include: "workflow/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/explain.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "results/claims.html",
        plan.figure_files(),
        expand("results/{dataset}/statistics/{table}.tsv", dataset=plan.config.run, table=["summary", "comparisons"]),

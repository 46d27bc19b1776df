# Figures, the claims page, and what the report shows.


rule figure_1:
    input:
        grid="results/{dataset}/volumes/mask.nii.gz",
        truth="results/{dataset}/truth/class_means.parquet",
        means=plan.drawn_files("saliency", ".mean.nii.gz"),
        tables=plan.drawn_files("saliency", ".mean.tsv"),
        scores=plan.drawn_files("scores", ".parquet"),
    output:
        report(
            "results/{dataset}/figures/figure-1a.png",
            caption="../report/figure-1a.rst",
            category="{dataset}",
            labels={"what": "Figure 1a"},
        ),
        report(
            "results/{dataset}/figures/figure-1b.png",
            caption="../report/figure-1b.rst",
            category="{dataset}",
            labels={"what": "Figure 1b"},
        ),
        "results/{dataset}/figures/figure-1a.svg",
        "results/{dataset}/figures/figure-1b.svg",
    log:
        "logs/{dataset}/figure-1.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.record("figure_1"),
        **plan.code("figure_1"),
        **plan.methods("figure_1", "datasets"),
        **plan.settings("maps"),
    script:
        "../scripts/figure_1.py"


rule figure_2:
    input:
        summary="results/{dataset}/statistics/summary.parquet",
    output:
        report(
            "results/{dataset}/figures/figure-2a.png",
            caption="../report/figure-2a.rst",
            category="{dataset}",
            labels={"what": "Figure 2a"},
        ),
        report(
            "results/{dataset}/figures/figure-2b.png",
            caption="../report/figure-2b.rst",
            category="{dataset}",
            labels={"what": "Figure 2b"},
        ),
        "results/{dataset}/figures/figure-2a.svg",
        "results/{dataset}/figures/figure-2b.svg",
    log:
        "logs/{dataset}/figure-2.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.record("figure_2"),
        **plan.code("figure_2"),
        **plan.settings("bars"),
    script:
        "../scripts/figure_2.py"


rule figure_3:
    input:
        grid="results/{dataset}/volumes/mask.nii.gz",
        truth="results/{dataset}/truth/class_means.parquet",
        maps=plan.drawn_files("subject_maps", ".parquet"),
    output:
        report(
            "results/{dataset}/figures/figure-3{panel}.png",
            caption="../report/figure-3.rst",
            category="{dataset}",
            labels={"what": "Figure 3{panel}"},
        ),
        "results/{dataset}/figures/figure-3{panel}.svg",
    log:
        "logs/{dataset}/figure-3{panel}.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(30),
    params:
        **plan.record("figure_3"),
        **plan.code("figure_3"),
        **plan.methods("figure_3", "datasets"),
        **plan.settings("maps"),
    script:
        "../scripts/figure_3.py"


rule figure_grid:
    input:
        summary="results/{dataset}/statistics/summary.parquet",
        comparisons="results/{dataset}/statistics/comparisons.parquet",
    output:
        report(
            "results/{dataset}/figures/grid-informative.png",
            caption="../report/grid.rst",
            category="{dataset}",
            labels={"what": "grid, informative"},
        ),
        report(
            "results/{dataset}/figures/grid-pairwise.png",
            caption="../report/grid.rst",
            category="{dataset}",
            labels={"what": "grid, pairwise"},
        ),
        "results/{dataset}/figures/grid-informative.svg",
        "results/{dataset}/figures/grid-pairwise.svg",
        table=report(
            "results/{dataset}/figures/grid.html",
            caption="../report/grid-table.rst",
            category="{dataset}",
            labels={"what": "grid, table"},
        ),
    log:
        "logs/{dataset}/figure-grid.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.record("figure_grid"),
        **plan.code("figure_grid"),
        **plan.settings("comparison"),
    script:
        "../scripts/figure_grid.py"


rule figure_strength:
    input:
        summary="results/{dataset}/statistics/summary.parquet",
        histories=plan.history_files,
    output:
        report(
            "results/{dataset}/figures/strength.png",
            caption="../report/strength.rst",
            category="{dataset}",
            labels={"what": "strength of training"},
        ),
        "results/{dataset}/figures/strength.svg",
    log:
        "logs/{dataset}/figure-strength.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.record("figure_strength"),
        **plan.code("figure_strength"),
        **plan.settings("strength"),
    script:
        "../scripts/figure_strength.py"


rule claims:
    input:
        published=plan.own("config/published.tsv"),
        summaries=expand("results/{dataset}/statistics/summary.parquet", dataset=plan.config.run),
        comparisons=expand("results/{dataset}/statistics/comparisons.parquet", dataset=plan.config.run),
    output:
        tsv="results/claims.tsv",
        html=report("results/claims.html", caption="../report/claims.rst", category="claims", labels={"what": "claims"}),
    log:
        "logs/claims.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(500),
        runtime=scaled(30),
    params:
        **plan.record("claims"),
        **plan.code("claims"),
        **plan.settings("claims"),
    script:
        "../scripts/claims.py"


rule resources:
    input:
        expand("results/{dataset}/statistics/summary.parquet", dataset=plan.config.run),
        expand("results/{dataset}/quality.tsv", dataset=plan.config.run),
    output:
        tsv="results/resources.tsv",
        html=report(
            "results/resources.html",
            caption="../report/resources.rst",
            category="resources",
            labels={"what": "time and memory by rule"},
        ),
    log:
        "logs/resources.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(500),
        runtime=scaled(30),
    params:
        **plan.record("resources"),
        **plan.code("resources"),
        settings={
            "benchmarks": plan.benchmark_files(),
            "figures": [*plan.figure_files(), *expand("results/{dataset}/figures/grid.html", dataset=plan.config.run)],
        },
    script:
        "../scripts/resources.py"

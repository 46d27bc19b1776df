# Figures, the claims page, and what the report shows.


rule figure_1:
    input:
        grid=rules.grid.output[0],
        truth=rules.truth.output[0],
        means=plan.each("explain", rules.explain.output.mean, plan.jobs.drawn),
        tables=plan.each("explain", rules.explain.output.mean_table, plan.jobs.drawn),
        scores=plan.each("score", rules.score.output[0], plan.jobs.drawn),
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
        **plan.params("figure_1"),
    script:
        "../scripts/figure_1.py"


rule figure_2:
    input:
        summary=rules.statistics.output.summary_parquet,
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
        **plan.params("figure_2"),
    script:
        "../scripts/figure_2.py"


rule figure_3:
    input:
        grid=rules.grid.output[0],
        truth=rules.truth.output[0],
        maps=plan.each("subject_maps", rules.subject_maps.output[0], plan.jobs.drawn),
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
        **plan.params("figure_3"),
    script:
        "../scripts/figure_3.py"


rule figure_grid:
    input:
        summary=rules.statistics.output.summary_parquet,
        comparisons=rules.statistics.output.comparisons_parquet,
        metrics=plan.each("metrics", rules.metrics.output.metrics_parquet),
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
        **plan.params("figure_grid"),
    script:
        "../scripts/figure_grid.py"


rule figure_strength:
    input:
        summary=rules.statistics.output.summary_parquet,
        histories=plan.each("train", rules.train.output.history, plan.jobs.swept_trainings),
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
        **plan.params("figure_strength"),
    script:
        "../scripts/figure_strength.py"


rule figure_prediction:
    input:
        rules.predict.output.parquet,
        answers=rules.predict.output.answers,
        truths=rules.predict.output.truths,
        anchors=rules.predict.output.anchors,
    output:
        report(
            "results/{dataset}/figures/prediction-tau.png",
            caption="../report/prediction-tau.rst",
            category="{dataset}",
            labels={"what": "what measures predict"},
        ),
        report(
            "results/{dataset}/figures/prediction-regret.png",
            caption="../report/prediction-regret.rst",
            category="{dataset}",
            labels={"what": "what following them costs"},
        ),
        "results/{dataset}/figures/prediction-tau.svg",
        "results/{dataset}/figures/prediction-tau.tsv",
        "results/{dataset}/figures/prediction-regret.svg",
        "results/{dataset}/figures/prediction-regret.tsv",
        page=report(
            "results/{dataset}/figures/prediction.html",
            caption="../report/prediction.rst",
            category="{dataset}",
            labels={"what": "measures and truths, in words"},
        ),
    log:
        "logs/{dataset}/figure-prediction.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("figure_prediction"),
    script:
        "../scripts/figure_prediction.py"


rule judge:
    input:
        published=plan.own("config/published.tsv"),
        summary=rules.statistics.output.summary_parquet,
        comparisons=rules.statistics.output.comparisons_parquet,
        measured=plan.each("measure", rules.measure.output[0]),
        reliability=plan.each("metrics", rules.metrics.output.reliability_parquet),
        attacked=plan.each("fragility", rules.fragility.output.parquet),
        attacked_pairs=plan.each("fragility", rules.fragility.output.pairs),
        predictions=plan.each("model", rules.model.output.predictions),
    output:
        "results/{dataset}/claims.tsv",
    log:
        "logs/{dataset}/judge.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("judge"),
    script:
        "../scripts/judge.py"


rule claims:
    input:
        plan.all("judge", rules.judge.output[0]),
        plan.standing(rules.judge.output[0]),
        published=plan.own("config/published.tsv"),
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
        **plan.params("claims", outdated=plan.standing(rules.judge.output[0], outdated=True)),
    script:
        "../scripts/claims.py"


measured = ("simulate", "volumes", "quality", "truth", "background", "background_chosen", "train", "model", "explain")
measured += ("adopt", "shapley", "subject_maps", "score", "refer", "robustness", "measure", "anchors")
measured += ("permute", "rank", "retrain")
drawing = ("figure_1", "figure_2", "figure_3", "figure_grid", "figure_strength", "figure_prediction")
drawing += ("figure_fragility",)
drawn = {name: getattr(rules, name).output for name in drawing}


rule resources:
    input:
        rules.statistics.output.summary_parquet,
        rules.quality.output.tsv,
        plan.each("metrics", rules.metrics.output.metrics_tsv),
        plan.each("predict", rules.predict.output.tsv),
        plan.each("roar", rules.roar.output[1]),
        plan.each("fragility", rules.fragility.output.tsv),
    output:
        tsv="results/{dataset}/resources.tsv",
        html=report(
            "results/{dataset}/resources.html",
            caption="../report/resources.rst",
            category="{dataset}",
            labels={"what": "time and memory by rule"},
        ),
    log:
        "logs/{dataset}/resources.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(500),
        runtime=scaled(30),
    params:
        **plan.params(
            "resources",
            benchmarks=plan.every({name: [getattr(rules, name).benchmark] for name in measured}),
            figures=plan.every(drawn),
        ),
    script:
        "../scripts/resources.py"

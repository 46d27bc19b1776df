# Figures, the claims page, and what the report shows.


rule figure_1:
    input:
        grid=rules.grid.output[0],
        truth=rules.truth.output[0],
        means=plan.each("explain", rules.explain.output.mean, "drawn"),
        tables=plan.each("explain", rules.explain.output.mean_table, "drawn"),
        scores=plan.each("score", rules.score.output[0], "drawn"),
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
        report(
            "results/{dataset}/figures/figure-1.png",
            caption="../report/figure-1.rst",
            category="{dataset}",
            labels={"what": "Figure 1"},
        ),
        "results/{dataset}/figures/figure-1a.svg",
        "results/{dataset}/figures/figure-1a.tsv",
        "results/{dataset}/figures/figure-1b.svg",
        "results/{dataset}/figures/figure-1b.tsv",
        "results/{dataset}/figures/figure-1.svg",
        "results/{dataset}/figures/figure-1.tsv",
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
        samples=rules.samples.output.samples,
        summary=rules.statistics.output.summary_parquet,
        comparisons=rules.statistics.output.comparisons_parquet,
        published=plan.own("config/published.tsv"),
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
        report(
            "results/{dataset}/figures/figure-2.png",
            caption="../report/figure-2.rst",
            category="{dataset}",
            labels={"what": "Figure 2"},
        ),
        "results/{dataset}/figures/figure-2a.svg",
        "results/{dataset}/figures/figure-2a.tsv",
        "results/{dataset}/figures/figure-2b.svg",
        "results/{dataset}/figures/figure-2b.tsv",
        "results/{dataset}/figures/figure-2.svg",
        "results/{dataset}/figures/figure-2.tsv",
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
        maps=plan.each("subject_maps", rules.subject_maps.output[0], "drawn"),
    output:
        report(
            "results/{dataset}/figures/figure-3a.png",
            caption="../report/figure-3.rst",
            category="{dataset}",
            labels={"what": "Figure 3a"},
        ),
        report(
            "results/{dataset}/figures/figure-3b.png",
            caption="../report/figure-3.rst",
            category="{dataset}",
            labels={"what": "Figure 3b"},
        ),
        report(
            "results/{dataset}/figures/figure-3.png",
            caption="../report/figure-3.rst",
            category="{dataset}",
            labels={"what": "Figure 3"},
        ),
        "results/{dataset}/figures/figure-3a.svg",
        "results/{dataset}/figures/figure-3a.tsv",
        "results/{dataset}/figures/figure-3b.svg",
        "results/{dataset}/figures/figure-3b.tsv",
        "results/{dataset}/figures/figure-3.svg",
        "results/{dataset}/figures/figure-3.tsv",
    log:
        "logs/{dataset}/figure-3.log",
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
        samples=rules.samples.output.samples,
        summary=rules.statistics.output.summary_parquet,
        comparisons=rules.statistics.output.comparisons_parquet,
        metrics=plan.each("metrics", rules.metrics.output.metrics_parquet),
        assets=assets,
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
        "results/{dataset}/figures/grid-informative.tsv",
        "results/{dataset}/figures/grid-pairwise.svg",
        "results/{dataset}/figures/grid-pairwise.tsv",
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
        samples=rules.samples.output.samples,
        summary=rules.statistics.output.summary_parquet,
        histories=plan.each("train", rules.train.output.history, "swept_trainings"),
    output:
        report(
            "results/{dataset}/figures/strength.png",
            caption="../report/strength.rst",
            category="{dataset}",
            labels={"what": "strength of training"},
        ),
        "results/{dataset}/figures/strength.svg",
        "results/{dataset}/figures/strength.tsv",
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
        assets=assets,
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
        dimension=plan.each("dimension", rules.dimension.output.parquet),
        influences=plan.each("influences", rules.influences.output.parquet),
        influence_pairs=plan.each("influences", rules.influences.output.pairs),
        angles=plan.each("angle_summary", rules.angle_summary.output.parquet),
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
        own=plan.all("judge", rules.judge.output[0]),
        standing=plan.standing(rules.judge.output[0]),
        published=plan.own("config/published.tsv"),
        assets=assets,
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
measured += ("permute", "rank", "retrain", "attack_maps", "influence", "angles")
drawing = ("figure_1", "figure_2", "figure_3", "figure_grid", "figure_strength", "figure_prediction")
drawing += ("figure_fragility",)
drawing += ("figure_influence", "figure_angles")
drawn = {name: getattr(rules, name).output for name in drawing}


rule resources:
    input:
        rules.statistics.output.summary_parquet,
        rules.quality.output.tsv,
        plan.each("metrics", rules.metrics.output.metrics_tsv),
        plan.each("predict", rules.predict.output.tsv),
        plan.each("roar", rules.roar.output[1]),
        plan.each("fragility", rules.fragility.output.tsv),
        plan.each("influences", rules.influences.output.tsv),
        plan.each("angle_summary", rules.angle_summary.output.tsv),
        assets=assets,
    output:
        tsv="results/{dataset}/resources.tsv",
        about="results/{dataset}/dataset_description.json",
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
            data=plan.kind,
        ),
    script:
        "../scripts/resources.py"


# Of no other dataset, as `judge`; with the figures in it, so that the first page reads one file of each dataset.
rule digest:
    input:
        published=plan.own("config/published.tsv"),
        samples=rules.samples.output.samples,
        grid=rules.grid.output[0],
        truth=rules.truth.output[0],
        summary=rules.statistics.output.summary_parquet,
        comparisons=rules.statistics.output.comparisons_parquet,
        units=rules.statistics.output.units,
        means=plan.each("explain", rules.explain.output.mean, "drawn"),
        mean_tables=plan.each("explain", rules.explain.output.mean_table, "drawn"),
        subject_maps=plan.each("subject_maps", rules.subject_maps.output[0]),
        figures=plan.every(drawn),
        answers=plan.each("predict", rules.predict.output.answers),
        fragility=plan.each("figure_fragility", rules.figure_fragility.output.answers),
        influence=plan.each("figure_influence", rules.figure_influence.output.answers),
        angles=plan.each("angle_summary", rules.angle_summary.output.answers),
        quality=rules.quality.output.tsv,
        incomplete=rules.samples.output.skipped,
        skipped=plan.each("volumes", rules.volumes.output.skipped),
        models=plan.each("model", rules.model.output.description),
    output:
        "results/{dataset}/digest.json",
    log:
        "logs/{dataset}/digest.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(30),
    params:
        **plan.params("digest"),
    script:
        "../scripts/digest.py"


rule index:
    input:
        own=plan.all("digest", rules.digest.output[0]),
        standing=plan.standing(rules.digest.output[0]),
        times=plan.all("resources", rules.resources.output.tsv),
        standing_times=plan.standing(rules.resources.output.tsv),
        claims=rules.claims.output.tsv,
        citation=plan.own("CITATION.cff"),
        assets=[*assets, *(plan.own(f"workflow/truemap/figures/assets/{name}.js") for name in ("index", "viewer"))],
    output:
        report(
            "results/index.html", caption="../report/index.rst", category="first page", labels={"what": "first page"}
        ),
    log:
        "logs/index.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("index", outdated=plan.standing(rules.digest.output[0], outdated=True)),
    script:
        "../scripts/index.py"

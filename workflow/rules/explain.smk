# Saliency maps, references and robustness, agreement with the truth, and the tests.


rule explain:
    input:
        weights=rules.model.output.weights,
        description=rules.model.output.description,
        grid=rules.grid.output[0],
        background=rules.background.output[0],
        maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        tables=plan.each("volumes", rules.volumes.output.table, split="test"),
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
    output:
        maps=plan.unless_kept(temp, "results/{dataset}/saliency/{model}/seed-{seed}/{method}.parquet"),
        mean="results/{dataset}/saliency/{model}/seed-{seed}/{method}.mean.nii.gz",
        mean_table="results/{dataset}/saliency/{model}/seed-{seed}/{method}.mean.tsv",
        mean_about="results/{dataset}/saliency/{model}/seed-{seed}/{method}.mean.json",
    log:
        "logs/{dataset}/explain-{model}-{seed}-{method}.log",
    benchmark:
        "results/benchmarks/{dataset}/explain-{model}-{seed}-{method}.tsv"
    wildcard_constraints:
        model=plan.models(given=False),
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(240),
    params:
        **plan.params("explain"),
    script:
        "../scripts/explain.py"


# Maps from elsewhere. What is wrong with them is said before anything is trained. The first output is another one than
# of `explain`: by that jobs are told apart.
rule adopt:
    input:
        sheet=plan.sheet_of_maps,
        samples=rules.samples.output.samples,
        images=rules.samples.output.images,
        grid=rules.grid.output[0],
        kept=plan.kept(rules.volumes.output.table),
    output:
        mean=rules.explain.output.mean,
        mean_table=rules.explain.output.mean_table,
        mean_about=rules.explain.output.mean_about,
        maps=rules.explain.output.maps,
    log:
        "logs/{dataset}/adopt-{model}-{seed}-{method}.log",
    benchmark:
        "results/benchmarks/{dataset}/adopt-{model}-{seed}-{method}.tsv"
    wildcard_constraints:
        model=plan.models(given=True),
    priority: 100
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(120),
    params:
        **plan.params("adopt"),
    script:
        "../scripts/adopt.py"


# What the network itself does, at the resolution of regions.
rule shapley:
    input:
        weights=rules.model.output.weights,
        description=rules.model.output.description,
        background=rules.background.output[0],
        regions=rules.regions.output.image,
        names=rules.regions.output.table,
        maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        "results/{dataset}/shapley/{model}/seed-{seed}/{baseline}.parquet",
    log:
        "logs/{dataset}/shapley-{model}-{seed}-{baseline}.log",
    benchmark:
        "results/benchmarks/{dataset}/shapley-{model}-{seed}-{baseline}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(240),
    params:
        **plan.params("shapley"),
    script:
        "../scripts/shapley.py"


rule subject_maps:
    input:
        maps=rules.explain.output.maps,
        truth=rules.truth.output[0],
        grid=rules.grid.output[0],
    output:
        "results/{dataset}/subject_maps/{model}/seed-{seed}/{method}.parquet",
    log:
        "logs/{dataset}/subject_maps-{model}-{seed}-{method}.log",
    benchmark:
        "results/benchmarks/{dataset}/subject_maps-{model}-{seed}-{method}.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(30),
    params:
        **plan.params("subject_maps"),
    script:
        "../scripts/subject_maps.py"


rule score:
    input:
        maps=rules.explain.output.maps,
        truth=rules.truth.output[0],
        grid=rules.grid.output[0],
        shapley=plan.compared(rules.shapley.output[0]),
        regions=plan.compared(rules.regions.output.image),
        names=plan.compared(rules.regions.output.table),
        background=plan.compared(rules.background.output[0]),
        own_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        own_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        "results/{dataset}/scores/{model}/seed-{seed}/{method}.parquet",
    log:
        "logs/{dataset}/score-{model}-{seed}-{method}.log",
    benchmark:
        "results/benchmarks/{dataset}/score-{model}-{seed}-{method}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        **plan.params("score"),
    script:
        "../scripts/score.py"


rule refer:
    input:
        background=rules.background.output[0],
        chosen=plan.each("background_chosen", rules.background_chosen.output[0]),
        truth=rules.truth.output[0],
        grid=rules.grid.output[0],
        own_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        own_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        "results/{dataset}/references/{reference}.parquet",
    log:
        "logs/{dataset}/refer-{reference}.log",
    benchmark:
        "results/benchmarks/{dataset}/refer-{reference}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        **plan.params("refer"),
    script:
        "../scripts/refer.py"


rule robustness:
    input:
        weights=rules.model.output.weights,
        description=rules.model.output.description,
        maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        "results/{dataset}/robustness/{model}/seed-{seed}/{attack}.parquet",
    log:
        "logs/{dataset}/robustness-{model}-{seed}-{attack}.log",
    benchmark:
        "results/benchmarks/{dataset}/robustness-{model}-{seed}-{attack}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(240),
    params:
        **plan.params("robustness"),
    script:
        "../scripts/robustness.py"


rule measure:
    input:
        weights=rules.model.output.weights,
        description=rules.model.output.description,
        grid=rules.grid.output[0],
        background=rules.background.output[0],
        maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        tables=plan.each("volumes", rules.volumes.output.table, split="test"),
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
        twin=plan.permuted(*rules.permute.output),
    output:
        "results/{dataset}/metrics/{model}/seed-{seed}/{method}/{metric}.parquet",
    log:
        "logs/{dataset}/measure-{model}-{seed}-{method}-{metric}.log",
    benchmark:
        "results/benchmarks/{dataset}/measure-{model}-{seed}-{method}-{metric}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(240),
    params:
        **plan.params("measure"),
    script:
        "../scripts/measure.py"


# Maps of which one knows what they are, by the first seed of each network: what a measure says of these tells its worth.
rule anchors:
    input:
        weights=rules.model.output.weights,
        description=rules.model.output.description,
        grid=rules.grid.output[0],
        truth=rules.truth.output[0],
        background=plan.each("background", rules.background.output[0]),
        chosen=plan.each("background_chosen", rules.background_chosen.output[0]),
        twin=plan.permuted(*rules.permute.output),
        shapley=plan.compared(rules.shapley.output[0]),
        regions=plan.compared(rules.regions.output.image),
        names=plan.compared(rules.regions.output.table),
        own_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        own_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
    output:
        measured="results/{dataset}/anchors/{model}/seed-{seed}/{method}/measured.parquet",
        scores="results/{dataset}/anchors/{model}/seed-{seed}/{method}/scores.parquet",
    log:
        "logs/{dataset}/anchors-{model}-{seed}-{method}.log",
    benchmark:
        "results/benchmarks/{dataset}/anchors-{model}-{seed}-{method}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(240),
    params:
        **plan.params("anchors"),
    script:
        "../scripts/anchors.py"


# Hits and false alarms, where the voxels that a network uses are known.
rule planted:
    input:
        grid=rules.grid.output[0],
        maps=plan.each("explain", rules.explain.output.maps, "planted"),
        weights=plan.each("explain", rules.model.output.weights, "planted"),
        descriptions=plan.each("explain", rules.model.output.description, "planted"),
    output:
        "results/{dataset}/statistics/planted.tsv",
    log:
        "logs/{dataset}/planted.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        **plan.params("planted"),
    script:
        "../scripts/planted.py"


rule statistics:
    input:
        scores=plan.each("score", rules.score.output[0]),
        references=plan.each("refer", rules.refer.output[0]),
        predictions=plan.each("model", rules.model.output.predictions),
        robustness=plan.each("robustness", rules.robustness.output[0]),
    output:
        summary_parquet="results/{dataset}/statistics/summary.parquet",
        summary_tsv="results/{dataset}/statistics/summary.tsv",
        units="results/{dataset}/statistics/units.parquet",
        comparisons_parquet="results/{dataset}/statistics/comparisons.parquet",
        comparisons_tsv=report(
            "results/{dataset}/statistics/comparisons.tsv",
            caption="../report/comparisons.rst",
            category="{dataset}",
            labels={"what": "every pairwise test"},
        ),
    log:
        "logs/{dataset}/statistics.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("statistics"),
    script:
        "../scripts/statistics.py"


rule metrics:
    input:
        plan.each("measure", rules.measure.output[0]),
    output:
        metrics_parquet="results/{dataset}/statistics/metrics.parquet",
        metrics_tsv="results/{dataset}/statistics/metrics.tsv",
        reliability_parquet="results/{dataset}/statistics/reliability.parquet",
        reliability_tsv="results/{dataset}/statistics/reliability.tsv",
    log:
        "logs/{dataset}/metrics.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("metrics"),
    script:
        "../scripts/metrics.py"


# Whether networks learnt permuted labels, without which their maps say nothing.
rule permutation:
    input:
        descriptions=plan.each("permute", rules.permute.output.description),
        measured=plan.each("measure", rules.measure.output[0], "twin_measured"),
    output:
        "results/{dataset}/statistics/permutation.parquet",
        "results/{dataset}/statistics/permutation.tsv",
    log:
        "logs/{dataset}/permutation.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("permutation"),
    script:
        "../scripts/permutation.py"


rule predict:
    input:
        measured=plan.each("measure", rules.measure.output[0]),
        scores=plan.each("score", rules.score.output[0]),
        predictions=plan.each("model", rules.model.output.predictions),
        anchors=plan.each("anchors", rules.anchors.output.measured),
        anchor_scores=plan.each("anchors", rules.anchors.output.scores),
    output:
        parquet="results/{dataset}/statistics/prediction.parquet",
        tsv="results/{dataset}/statistics/prediction.tsv",
        truths="results/{dataset}/statistics/two_truths.tsv",
        anchors="results/{dataset}/statistics/anchors.tsv",
        ways="results/{dataset}/statistics/ways.parquet",
        answers=report(
            "results/{dataset}/statistics/answers.tsv",
            caption="../report/answers.rst",
            category="{dataset}",
            labels={"what": "which measure predicts which truth"},
        ),
    log:
        "logs/{dataset}/predict.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        **plan.params("predict"),
    script:
        "../scripts/predict.py"


# Across datasets, as `claims`: those that stand with their record count too, so that it is the same under every config.
rule held_out:
    input:
        plan.all("predict", rules.predict.output.ways),
        plan.standing(rules.predict.output.ways),
    output:
        report(
            "results/held_out.tsv",
            caption="../report/held-out.rst",
            category="claims",
            labels={"what": "measures followed on other data"},
        ),
    log:
        "logs/held_out.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        **plan.params("held_out", outdated=plan.standing(rules.predict.output.ways, outdated=True)),
    script:
        "../scripts/held_out.py"

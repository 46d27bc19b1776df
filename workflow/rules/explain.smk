# Saliency maps, references and robustness, agreement with the truth, and the tests.


rule explain:
    input:
        weights="results/{dataset}/models/{model}/seed-{seed}/weights.safetensors",
        description="results/{dataset}/models/{model}/seed-{seed}/model.json",
        grid="results/{dataset}/volumes/mask.nii.gz",
        background="results/{dataset}/truth/background.parquet",
        maps=plan.volume_files("test", "npy"),
        tables=plan.volume_files("test", "parquet"),
        train_maps=plan.volume_files("train", "npy"),
        train_tables=plan.volume_files("train", "parquet"),
    output:
        maps=plan.unless_kept(temp, "results/{dataset}/saliency/{model}/seed-{seed}/{method}.parquet"),
        mean="results/{dataset}/saliency/{model}/seed-{seed}/{method}.mean.nii.gz",
        mean_table="results/{dataset}/saliency/{model}/seed-{seed}/{method}.mean.tsv",
    log:
        "logs/{dataset}/explain-{model}-{seed}-{method}.log",
    benchmark:
        "results/benchmarks/{dataset}/explain-{model}-{seed}-{method}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(240),
    params:
        **plan.record("explain"),
        **plan.code("explain"),
        **plan.methods("explain", "networks", "saliency"),
        **plan.settings("explain"),
    script:
        "../scripts/explain.py"


rule subject_maps:
    input:
        maps="results/{dataset}/saliency/{model}/seed-{seed}/{method}.parquet",
        truth="results/{dataset}/truth/class_means.parquet",
        grid="results/{dataset}/volumes/mask.nii.gz",
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
        **plan.record("subject_maps"),
        **plan.code("subject_maps"),
        **plan.settings("subject_maps"),
    script:
        "../scripts/subject_maps.py"


rule score:
    input:
        maps="results/{dataset}/saliency/{model}/seed-{seed}/{method}.parquet",
        truth="results/{dataset}/truth/class_means.parquet",
        grid="results/{dataset}/volumes/mask.nii.gz",
        own_maps=plan.volume_files("test", "npy"),
        own_tables=plan.volume_files("test", "parquet"),
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
        **plan.record("score"),
        **plan.code("score"),
        **plan.settings("score"),
    script:
        "../scripts/score.py"


rule refer:
    input:
        background=plan.background_files,
        truth="results/{dataset}/truth/class_means.parquet",
        grid="results/{dataset}/volumes/mask.nii.gz",
        own_maps=plan.volume_files("test", "npy"),
        own_tables=plan.volume_files("test", "parquet"),
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
        **plan.record("refer"),
        **plan.code("refer"),
        **plan.methods("refer", "references"),
        **plan.settings("refer"),
    script:
        "../scripts/refer.py"


rule robustness:
    input:
        weights="results/{dataset}/models/{model}/seed-{seed}/weights.safetensors",
        description="results/{dataset}/models/{model}/seed-{seed}/model.json",
        maps=plan.volume_files("test", "npy"),
        tables=plan.volume_files("test", "parquet"),
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
        **plan.record("robustness"),
        **plan.code("robustness"),
        **plan.methods("robustness", "networks", "attacks"),
        **plan.settings("robustness"),
    script:
        "../scripts/robustness.py"


rule statistics:
    input:
        scores=plan.score_files,
        references=plan.reference_files,
        predictions=plan.prediction_files,
        robustness=plan.robustness_files,
    output:
        summary_parquet="results/{dataset}/statistics/summary.parquet",
        summary_tsv="results/{dataset}/statistics/summary.tsv",
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
        **plan.record("statistics"),
        **plan.code("statistics"),
        **plan.methods("statistics", "datasets"),
        **plan.settings("statistics"),
    script:
        "../scripts/statistics.py"

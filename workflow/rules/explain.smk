# Saliency maps, their agreement with the truth, and the tests.


rule explain:
    input:
        weights="results/{dataset}/models/{model}/seed-{seed}/weights.safetensors",
        description="results/{dataset}/models/{model}/seed-{seed}/model.json",
        grid="results/{dataset}/volumes/mask.nii.gz",
        maps=plan.volume_files("test", "npy"),
        tables=plan.volume_files("test", "parquet"),
    output:
        maps="results/{dataset}/saliency/{model}/seed-{seed}/{method}.parquet",
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
        **plan.code("explain"),
        **plan.methods("explain", "networks", "saliency"),
        **plan.settings("explain"),
    script:
        "../scripts/explain.py"


rule score:
    input:
        maps="results/{dataset}/saliency/{model}/seed-{seed}/{method}.parquet",
        truth="results/{dataset}/truth/class_means.parquet",
        grid="results/{dataset}/volumes/mask.nii.gz",
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
        **plan.code("score"),
        **plan.settings("score"),
    script:
        "../scripts/score.py"


rule statistics:
    input:
        scores=plan.score_files,
        predictions=plan.prediction_files,
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
        **plan.code("statistics"),
        **plan.methods("statistics", "datasets"),
        **plan.settings("statistics"),
    script:
        "../scripts/statistics.py"

module kingmaker/benchmarks/loader

go 1.26

module github.com/deis/logger/tools/schemas

go 1.26.0

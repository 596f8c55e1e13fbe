package main

import "context"

func measureFollowers(ctx context.Context, r *rig) error { _ = ctx; _ = r; return nil }

CREATE TABLE "experiments" (
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	artifact_location VARCHAR(256), 
	lifecycle_stage VARCHAR(32), 
	creation_time BIGINT, 
	last_update_time BIGINT, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), 
	CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT uq_experiments_workspace_name UNIQUE (workspace, name)
);
INSERT INTO experiments VALUES (0, 'Default', '/ladder/mlruns/0', 'active', 1795635930900, 1795635930900, 'default');
INSERT INTO experiments VALUES (1, 'ladder', '/ladder/mlruns/1', 'active', 1795635930927, 1795635930927, 'default');
CREATE TABLE "runs" (
	run_uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(250), 
	source_type VARCHAR(20), 
	source_name VARCHAR(500), 
	entry_point_name VARCHAR(50), 
	user_id VARCHAR(256), 
	status VARCHAR(9), 
	start_time BIGINT, 
	end_time BIGINT, 
	source_version VARCHAR(50), 
	lifecycle_stage VARCHAR(20), 
	artifact_uri VARCHAR(200), 
	experiment_id INTEGER, deleted_time BIGINT, 
	CONSTRAINT run_pk PRIMARY KEY (run_uuid), 
	CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')), 
	CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
INSERT INTO runs VALUES ('fae66f43c78c4e8f908fc5a5e1047d82', 's1', 'UNKNOWN', '', '', 'user', 'FINISHED', 1795635931093, 1795635931424, '', 'active', '/ladder/mlruns/1/fae66f43c78c4e8f908fc5a5e1047d82/artifacts', 1, NULL);
INSERT INTO runs VALUES ('e0b560b07f294a7ca2a9c8a4a657c7d0', 's2', 'UNKNOWN', '', '', 'user', 'FINISHED', 1795635931470, 1795635931800, '', 'active', '/ladder/mlruns/1/e0b560b07f294a7ca2a9c8a4a657c7d0/artifacts', 1, NULL);
INSERT INTO runs VALUES ('24184029405f44b79b6e582813e50d2c', 'broken', 'UNKNOWN', '', '', 'user', 'FAILED', 1795635931838, 1795635932095, '', 'active', '/ladder/mlruns/1/24184029405f44b79b6e582813e50d2c/artifacts', 1, NULL);
CREATE TABLE "metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	step BIGINT DEFAULT '0' NOT NULL, 
	is_nan BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO metrics VALUES ('val_loss', 2.691287092917528, 1795635931206, 'fae66f43c78c4e8f908fc5a5e1047d82', 50, 0);
INSERT INTO metrics VALUES ('train_loss', 2.591287092917528, 1795635931247, 'fae66f43c78c4e8f908fc5a5e1047d82', 50, 0);
INSERT INTO metrics VALUES ('val_loss', 2.3912870929175276, 1795635931276, 'fae66f43c78c4e8f908fc5a5e1047d82', 100, 0);
INSERT INTO metrics VALUES ('train_loss', 2.2912870929175275, 1795635931312, 'fae66f43c78c4e8f908fc5a5e1047d82', 100, 0);
INSERT INTO metrics VALUES ('val_loss', 2.291287092917528, 1795635931343, 'fae66f43c78c4e8f908fc5a5e1047d82', 150, 0);
INSERT INTO metrics VALUES ('train_loss', 2.191287092917528, 1795635931367, 'fae66f43c78c4e8f908fc5a5e1047d82', 150, 0);
INSERT INTO metrics VALUES ('val_loss', 2.2412870929175277, 1795635931387, 'fae66f43c78c4e8f908fc5a5e1047d82', 200, 0);
INSERT INTO metrics VALUES ('train_loss', 2.1412870929175276, 1795635931407, 'fae66f43c78c4e8f908fc5a5e1047d82', 200, 0);
INSERT INTO metrics VALUES ('val_loss', 2.6456435464587638, 1795635931551, 'e0b560b07f294a7ca2a9c8a4a657c7d0', 50, 0);
INSERT INTO metrics VALUES ('train_loss', 2.5456435464587637, 1795635931571, 'e0b560b07f294a7ca2a9c8a4a657c7d0', 50, 0);
INSERT INTO metrics VALUES ('val_loss', 2.3456435464587635, 1795635931603, 'e0b560b07f294a7ca2a9c8a4a657c7d0', 100, 0);
INSERT INTO metrics VALUES ('train_loss', 2.2456435464587634, 1795635931635, 'e0b560b07f294a7ca2a9c8a4a657c7d0', 100, 0);
INSERT INTO metrics VALUES ('val_loss', 2.245643546458764, 1795635931663, 'e0b560b07f294a7ca2a9c8a4a657c7d0', 150, 0);
INSERT INTO metrics VALUES ('train_loss', 2.1456435464587638, 1795635931695, 'e0b560b07f294a7ca2a9c8a4a657c7d0', 150, 0);
INSERT INTO metrics VALUES ('val_loss', 2.1956435464587636, 1795635931735, 'e0b560b07f294a7ca2a9c8a4a657c7d0', 200, 0);
INSERT INTO metrics VALUES ('train_loss', 2.0956435464587635, 1795635931768, 'e0b560b07f294a7ca2a9c8a4a657c7d0', 200, 0);
INSERT INTO metrics VALUES ('val_loss', 2.6333333333333333, 1795635931907, '24184029405f44b79b6e582813e50d2c', 50, 0);
INSERT INTO metrics VALUES ('train_loss', 2.533333333333333, 1795635931959, '24184029405f44b79b6e582813e50d2c', 50, 0);
INSERT INTO metrics VALUES ('val_loss', 2.333333333333333, 1795635931982, '24184029405f44b79b6e582813e50d2c', 100, 0);
INSERT INTO metrics VALUES ('train_loss', 2.233333333333333, 1795635932028, '24184029405f44b79b6e582813e50d2c', 100, 0);
CREATE TABLE "params" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000) NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO params VALUES ('non_embedding_params', '1200000', 'fae66f43c78c4e8f908fc5a5e1047d82');
INSERT INTO params VALUES ('batch_size', '32', 'fae66f43c78c4e8f908fc5a5e1047d82');
INSERT INTO params VALUES ('block_size', '256', 'fae66f43c78c4e8f908fc5a5e1047d82');
INSERT INTO params VALUES ('learning_rate', '0.01', 'fae66f43c78c4e8f908fc5a5e1047d82');
INSERT INTO params VALUES ('non_embedding_params', '4800000', 'e0b560b07f294a7ca2a9c8a4a657c7d0');
INSERT INTO params VALUES ('batch_size', '32', 'e0b560b07f294a7ca2a9c8a4a657c7d0');
INSERT INTO params VALUES ('block_size', '256', 'e0b560b07f294a7ca2a9c8a4a657c7d0');
INSERT INTO params VALUES ('learning_rate', '0.01', 'e0b560b07f294a7ca2a9c8a4a657c7d0');
INSERT INTO params VALUES ('non_embedding_params', '9000000', '24184029405f44b79b6e582813e50d2c');
INSERT INTO params VALUES ('batch_size', '32', '24184029405f44b79b6e582813e50d2c');
INSERT INTO params VALUES ('block_size', '256', '24184029405f44b79b6e582813e50d2c');
INSERT INTO params VALUES ('learning_rate', '0.01', '24184029405f44b79b6e582813e50d2c');

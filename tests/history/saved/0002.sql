BEGIN TRANSACTION;
CREATE TABLE curvelab_audits (
	project INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	started DOUBLE NOT NULL, 
	finished DOUBLE NOT NULL, 
	version TEXT NOT NULL, 
	tree TEXT NOT NULL, 
	runs INTEGER NOT NULL, 
	new INTEGER NOT NULL, 
	worse INTEGER NOT NULL, 
	known INTEGER NOT NULL, 
	fixed INTEGER NOT NULL, 
	muted INTEGER NOT NULL, 
	told INTEGER NOT NULL, 
	failing INTEGER NOT NULL, 
	CONSTRAINT pk_curvelab_audits PRIMARY KEY (project, number), 
	CONSTRAINT fk_curvelab_audits_curvelab_projects FOREIGN KEY(project) REFERENCES curvelab_projects (id) ON DELETE CASCADE
);
INSERT INTO "curvelab_audits" VALUES(1,1,1790000000.0,1790000000.0,'0.1.0','first',1,1,0,0,0,0,1,1);
CREATE TABLE curvelab_findings (
	project INTEGER NOT NULL, 
	fingerprint VARCHAR(16) NOT NULL, 
	run TEXT NOT NULL, 
	run_name TEXT NOT NULL, 
	pattern TEXT NOT NULL, 
	severity VARCHAR(16) NOT NULL, 
	metric TEXT NOT NULL, 
	headline TEXT NOT NULL, 
	start_step BIGINT NOT NULL, 
	end_step BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	was TEXT NOT NULL, 
	provisional BOOLEAN NOT NULL, 
	first_seen DOUBLE NOT NULL, 
	last_seen DOUBLE NOT NULL, 
	told DOUBLE, 
	told_severity VARCHAR(16), 
	told_excess DOUBLE, 
	fixed DOUBLE, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_curvelab_findings PRIMARY KEY (project, fingerprint), 
	CONSTRAINT fk_curvelab_findings_curvelab_projects FOREIGN KEY(project) REFERENCES curvelab_projects (id) ON DELETE CASCADE
);
INSERT INTO "curvelab_findings" VALUES(1,'1185ae28f72eed24','a','a','spikes','warning','train/loss','a spike',100,200,'new','',0,1790000000.0,1790000000.0,1790000000.0,'warning',0.5,NULL,'{"pattern": "spikes", "severity": "warning", "confidence": 0.9, "metric": "train/loss", "headline": "a spike", "start_step": 100, "end_step": 200, "excess": 0.5, "fix": ""}');
CREATE TABLE curvelab_memos (
	project INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	text TEXT NOT NULL, 
	CONSTRAINT pk_curvelab_memos PRIMARY KEY (project, name), 
	CONSTRAINT fk_curvelab_memos_curvelab_projects FOREIGN KEY(project) REFERENCES curvelab_projects (id) ON DELETE CASCADE
);
INSERT INTO "curvelab_memos" VALUES(1,'undelivered','{}');
CREATE TABLE curvelab_mutes (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project INTEGER NOT NULL, 
	run TEXT NOT NULL, 
	pattern TEXT NOT NULL, 
	until VARCHAR(40), 
	reason TEXT NOT NULL, 
	made DOUBLE NOT NULL, 
	CONSTRAINT fk_curvelab_mutes_curvelab_projects FOREIGN KEY(project) REFERENCES curvelab_projects (id) ON DELETE CASCADE
);
INSERT INTO "curvelab_mutes" VALUES(1,1,'a','plateau','2099-01-01','why',0.0);
CREATE TABLE curvelab_projects (
	id INTEGER NOT NULL, 
	digest VARCHAR(32) NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_curvelab_projects PRIMARY KEY (id), 
	CONSTRAINT uq_curvelab_projects_digest UNIQUE (digest)
);
INSERT INTO "curvelab_projects" VALUES(1,'148de9c5a7a44d19e56cd9ae1a554bf6','p');
CREATE TABLE curvelab_runs (
	project INTEGER NOT NULL, 
	digest VARCHAR(32) NOT NULL, 
	"key" TEXT NOT NULL, 
	name TEXT NOT NULL, 
	format TEXT NOT NULL, 
	state TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	seen VARCHAR(16) NOT NULL, 
	live BOOLEAN NOT NULL, 
	last_step BIGINT, 
	began DOUBLE, 
	ended DOUBLE, 
	metric TEXT NOT NULL, 
	best DOUBLE, 
	final DOUBLE, 
	gpu_hours DOUBLE, 
	signature TEXT NOT NULL, 
	causes TEXT NOT NULL, 
	settled TEXT, 
	settled_causes TEXT, 
	body TEXT NOT NULL, 
	diagnosis BLOB NOT NULL, 
	CONSTRAINT pk_curvelab_runs PRIMARY KEY (project, digest), 
	CONSTRAINT fk_curvelab_runs_curvelab_projects FOREIGN KEY(project) REFERENCES curvelab_projects (id) ON DELETE CASCADE
);
INSERT INTO "curvelab_runs" VALUES(1,'ca978112ca1bbdcafac231b39a23dc4d','a','a','trainer-state','unknown','not-assessed','new',0,1000,NULL,NULL,'',NULL,NULL,NULL,'1 1 1','{"log": "1", "curvelab": "1", "settings": "1"}','1 1 1','{"log": "1", "curvelab": "1", "settings": "1"}','{"run": {"key": "a", "name": "a", "path": "/data/a", "format": "trainer-state", "project": null, "state": "unknown", "live": false, "seen": "new", "verdict": "not-assessed", "last_step": 1000, "planned_steps": null, "points": 0, "began": null, "ended": null, "metric": "", "best": null, "best_step": null, "final": null, "gpu_hours": null, "money": null, "wasted_hours": null, "summary": {"seconds": 12.5}, "settings": {"bf16": true, "lr": 0.0001}, "spark": [1.0, NaN, Infinity], "page": null, "rule": "", "damage": []}, "signature": "1 1 1", "causes": {"log": "1", "curvelab": "1", "settings": "1"}, "files": ["a/log"], "findings": [{"pattern": "spikes", "severity": "warning", "confidence": 0.9, "metric": "train/loss", "headline": "a spike", "start_step": 100, "end_step": 200, "excess": 0.5, "fix": ""}], "checked": {"spikes": "found"}, "quiet_after": null}',X'7B226964223A2261227D');
INSERT INTO "curvelab_runs" VALUES(1,'0dabcef4efc9701fd3ae49e5d695d14e','"caf\udce9"','"caf\udce9"','trainer-state','unknown','not-assessed','new',0,1000,NULL,NULL,'',NULL,NULL,NULL,'1 1 1','{"log": "1", "curvelab": "1", "settings": "1"}',NULL,NULL,'{"run": {"key": "caf\udce9", "name": "caf\udce9", "path": "/data/caf\udce9", "format": "trainer-state", "project": null, "state": "unknown", "live": false, "seen": "new", "verdict": "not-assessed", "last_step": 1000, "planned_steps": null, "points": 0, "began": null, "ended": null, "metric": "", "best": null, "best_step": null, "final": null, "gpu_hours": null, "money": null, "wasted_hours": null, "summary": {"x": 1.0, "y": 2.0}, "settings": {"bf16": true, "lr": 0.0001}, "spark": [1.0, NaN, Infinity], "page": null, "rule": "", "damage": []}, "signature": "1 1 1", "causes": {"log": "1", "curvelab": "1", "settings": "1"}, "files": ["caf\udce9/log"], "findings": [], "checked": {"spikes": "found"}, "quiet_after": null}',X'7B226964223A2261227D');
CREATE TABLE curvelab_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT curvelab_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "curvelab_schema" VALUES('0002');
CREATE TABLE curvelab_summaries (
	project INTEGER NOT NULL, 
	run VARCHAR(32) NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	value DOUBLE, 
	CONSTRAINT pk_curvelab_summaries PRIMARY KEY (project, run, position), 
	CONSTRAINT fk_curvelab_summaries_curvelab_runs FOREIGN KEY(project, run) REFERENCES curvelab_runs (project, digest) ON DELETE CASCADE ON UPDATE CASCADE
);
INSERT INTO "curvelab_summaries" VALUES(1,'ca978112ca1bbdcafac231b39a23dc4d',0,'seconds',12.5);
INSERT INTO "curvelab_summaries" VALUES(1,'0dabcef4efc9701fd3ae49e5d695d14e',0,'x',1.0);
INSERT INTO "curvelab_summaries" VALUES(1,'0dabcef4efc9701fd3ae49e5d695d14e',1,'y',2.0);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('curvelab_mutes',1);
COMMIT;

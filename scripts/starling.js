#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { launch } from './launch.js';

await launch({ root: new URL('../', import.meta.url), script: fileURLToPath(import.meta.url), argv: process.argv.slice(2) });

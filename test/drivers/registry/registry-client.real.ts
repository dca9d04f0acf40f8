/** The contract against a real registry: REGISTRY_URL=http://127.0.0.1:8081 npm run test:registry; user and secret by REGISTRY_USER. */

import assert from 'node:assert/strict'
import { registryContract } from './registry-contract.ts'

const { REGISTRY_URL = '', REGISTRY_USER } = process.env
assert.notEqual(REGISTRY_URL, '', 'REGISTRY_URL must name a schema registry; subjects contract-… stay in it')

const [username, password = ''] = REGISTRY_USER?.split(/:(.*)/s) ?? []
registryContract(REGISTRY_URL, () => REGISTRY_URL, username === undefined ? {} : { username, password })

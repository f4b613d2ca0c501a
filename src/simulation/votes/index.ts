export { runCampaign, type VotesSummary } from './campaign.ts';
export { LIAR_KINDS, votesPlan } from './plan.ts';
export { FINISH_MS, type Machines, VotesWorld } from './world.ts';

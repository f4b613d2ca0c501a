/**
 * Committee arithmetic (PROTOCOL section 2): of n voters, one vote each, up to f = floor((n-1)/3) may be faulty, and
 * q = floor((n+f)/2) + 1 are a quorum, so that two quorums always share an honest voter. 1:1, 2:2, 3:2, 4:3, 6:4, 7:5.
 * Of no voters a quorum is still one, which nobody can give: what has no committee finalises nothing.
 */
const faultsOf = (voters: number): number => Math.max(0, Math.floor((voters - 1) / 3));
export const quorumOf = (voters: number): number => Math.floor((voters + faultsOf(voters)) / 2) + 1;
